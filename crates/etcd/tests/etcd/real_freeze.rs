//! A frozen member acknowledges no write, and its snapshot holds everything that was acknowledged before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use etcd::{Alarm, Error, Etcd, EtcdView, Health, Membership};
use serde_json::json;
use sim::{EtcdGateway, EtcdMembers};
use tokio::task::JoinSet;

use crate::fixture::{connect, start, until, wait};

const REFUSED: &str = "etcdserver: corrupt cluster";
/// The key `key` as etcd's gateway writes it.
const KEY: &str = "a2V5";

async fn save(client: &dyn Etcd, members: &EtcdMembers) -> PathBuf {
    let path = members.folder().join("snapshot.db");
    let mut file = tokio::fs::File::create(&path).await.unwrap();
    client.snapshot(&mut file).await.unwrap();
    path
}

/// Everything that changes the key space or its leases.
async fn refuses_every_write(gateway: &EtcdGateway) {
    let change = |operation| json!({"compare": [], "success": [operation], "failure": []});
    for (call, body) in [
        ("kv/put", json!({"key": KEY, "value": KEY})),
        ("kv/deleterange", json!({"key": KEY})),
        // As the API server writes and deletes.
        (
            "kv/txn",
            change(json!({"requestPut": {"key": KEY, "value": KEY}})),
        ),
        ("kv/txn", change(json!({"requestDeleteRange": {"key": KEY}}))),
        ("kv/compaction", json!({"revision": "1"})),
        ("lease/grant", json!({"TTL": "60"})),
    ] {
        let error = gateway.call(call, &body).await.unwrap_err();
        assert!(error.contains(REFUSED), "{call}: {error}");
    }
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn a_frozen_member_refuses_writes_until_it_is_thawed() {
    let mut members = start(1).await;
    let (client, gateway) = (connect(&members, &[1]), EtcdGateway::new(&members, 1));
    gateway.put("key", "one").await.unwrap();
    assert!(!client.observe().await.unwrap().is_frozen());
    client.thaw().await.expect("what is not frozen may be thawed");

    client.freeze().await.unwrap();
    client.freeze().await.expect("what is frozen may be frozen again");
    refuses_every_write(&gateway).await;
    assert_eq!(gateway.get("key").await.unwrap(), "one", "reads go on");
    let view = client.observe().await.unwrap();
    assert!(view.is_frozen());
    let [member] = view.members.as_slice() else {
        panic!("{view:?}");
    };
    assert_eq!(member.alarms, [Alarm::Corrupt]);
    assert!(matches!(&member.health, Health::Unhealthy { reason } if reason.contains("frozen")));

    members.kill(1).await;
    members.restart(1);
    until(&members, "frozen after a restart", EtcdView::is_frozen).await;
    refuses_every_write(&gateway).await;
    save(&*client, &members).await;

    client.thaw().await.unwrap();
    client.thaw().await.unwrap();
    let view = until(&members, "healthy", |view| view.faults().is_empty()).await;
    assert!(!view.is_frozen());
    assert_eq!(gateway.get("key").await.unwrap(), "one");
    gateway.put("key", "two").await.unwrap();
    assert_eq!(gateway.get("key").await.unwrap(), "two");
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn a_lease_that_runs_out_deletes_nothing_while_frozen() {
    let members = start(1).await;
    let (client, gateway) = (connect(&members, &[1]), EtcdGateway::new(&members, 1));
    let granted = gateway.call("lease/grant", &json!({"TTL": "2"})).await.unwrap();
    let lease = &granted["ID"];
    let body = json!({"key": KEY, "value": KEY, "lease": lease});
    gateway.call("kv/put", &body).await.unwrap();
    client.freeze().await.unwrap();
    let remaining = async || {
        let answer = gateway
            .call("lease/timetolive", &json!({"ID": lease}))
            .await
            .unwrap();
        answer["TTL"].as_str().unwrap_or("0").parse::<i64>().unwrap()
    };
    // -1 would be a lease that is gone.
    wait("a lease that ran out and is there", remaining, |seconds| {
        *seconds < -1
    })
    .await;
    assert_eq!(gateway.get("key").await.unwrap(), "key");

    client.thaw().await.unwrap();
    let gone = async || gateway.get("key").await;
    wait("deleted after the thaw", gone, Option::is_none).await;
}

/// Writes until the member refuses, and says what it acknowledged last.
async fn write(gateway: EtcdGateway, key: String, acknowledged: impl Fn(u32)) -> (String, u32) {
    for number in 1.. {
        match gateway.put(&key, &number.to_string()).await {
            Ok(()) => acknowledged(number),
            Err(error) => {
                assert!(error.contains(REFUSED), "{error}");
                return (key, number - 1);
            }
        }
    }
    unreachable!()
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn a_restored_snapshot_holds_every_acknowledged_write() {
    let mut members = start(1).await;
    let (client, gateway) = (connect(&members, &[1]), EtcdGateway::new(&members, 1));
    let (acknowledged, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for name in ["a", "b", "c", "d"] {
        let acknowledged = acknowledged.clone();
        let note = move |number| acknowledged.send(number).unwrap();
        writers.spawn(write(gateway.clone(), name.to_owned(), note));
    }
    // In the middle of their work.
    while seen.recv().await.unwrap() < 5 {}
    client.freeze().await.unwrap();
    let snapshot = save(&*client, &members).await;
    let last: BTreeMap<String, u32> = writers.join_all().await.into_iter().collect();
    assert!(last.values().any(|number| *number >= 5), "{last:?}");

    let holds_all = async |gateway: &EtcdGateway| {
        for (key, number) in &last {
            assert_eq!(
                gateway.get(key).await,
                Some(number.to_string()),
                "{key} of {last:?}"
            );
        }
    };
    members.kill(1).await;
    members.restart_from(&snapshot);
    let view = until(&members, "restored at its address", |view| {
        view.membership == Membership::Confirmed
    });
    let view = view.await;
    assert_eq!(
        view.members[0].alarms,
        [Alarm::Corrupt],
        "the same member: {view:?}"
    );
    refuses_every_write(&gateway).await;
    client.thaw().await.unwrap();
    until(&members, "healthy", |view| view.faults().is_empty()).await;
    holds_all(&gateway).await;
    gateway.put("a", "after").await.unwrap();

    // Its alarm is of a member that does not exist there.
    members.kill(1).await;
    members.found_from(&snapshot);
    let (client, gateway) = (connect(&members, &[2]), EtcdGateway::new(&members, 2));
    let view = until(&members, "restored at another address", EtcdView::is_frozen).await;
    assert_eq!(view.alarms, [Alarm::Corrupt], "{view:?}");
    refuses_every_write(&gateway).await;
    let error = client.freeze().await.unwrap_err();
    assert!(
        matches!(&error, Error::NotFreezable(why) if why.contains("no member")),
        "{error}"
    );
    client.thaw().await.unwrap();
    let view = client.observe().await.unwrap();
    assert!(!view.is_frozen() && view.faults().is_empty(), "{view:?}");
    holds_all(&gateway).await;
    gateway.put("a", "after").await.unwrap();
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn several_members_are_not_frozen() {
    let members = start(3).await;
    let client = connect(&members, &[1, 2, 3]);
    let error = client.freeze().await.unwrap_err();
    assert!(
        matches!(&error, Error::NotFreezable(why) if why.contains("3 members")),
        "{error}"
    );
    EtcdGateway::new(&members, 1).put("key", "one").await.unwrap();
    assert!(!client.observe().await.unwrap().is_frozen());
}
