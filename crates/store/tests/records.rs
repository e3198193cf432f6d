//! Records: order, filters, retention, followers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use serde_json::json;
use store::records::{NewRecord, Query, Records};

fn record(kind: &str, machine: &str, at: i64) -> NewRecord {
    NewRecord {
        kind: kind.into(),
        machine: machine.into(),
        at,
        payload: json!({"at": at}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_newest_first_by_kind_and_machine() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().join("records.db")).await.unwrap();
    let mut follower = records.follow();
    for at in 0..10 {
        let machine = if at % 2 == 0 { "a" } else { "b" };
        records.append(record("BootEvent", machine, at)).await.unwrap();
    }
    records
        .append_all(vec![record("ActionLog", "a", 10), record("ActionLog", "a", 11)])
        .await
        .unwrap();
    let cases: [(Option<&str>, Option<&str>, &[i64]); 4] = [
        (Some("BootEvent"), Some("a"), &[8, 6, 4]),
        (Some("BootEvent"), None, &[9, 8, 7]),
        (None, Some("a"), &[11, 10, 8]),
        (None, None, &[11, 10, 9]),
    ];
    for (kind, machine, expected) in cases {
        let query = Query {
            kind: kind.map(Into::into),
            machine: machine.map(Into::into),
            limit: 3,
            ..Query::default()
        };
        let found: Vec<i64> = records.list(&query).await.unwrap().iter().map(|r| r.at).collect();
        assert_eq!(found, expected, "{kind:?} {machine:?}");
    }
    let first = follower.recv().await.unwrap();
    assert_eq!((first.id, first.at), (1, 0));
    let page = Query {
        before: Some(3),
        ..Query::default()
    };
    assert_eq!(records.list(&page).await.unwrap().len(), 2);
    assert_eq!(records.get(1).await.unwrap().unwrap(), *first);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_keeps_the_newest_of_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().join("records.db")).await.unwrap();
    let all = (0..20)
        .map(|at| record(if at < 10 { "A" } else { "B" }, "m", at))
        .collect();
    records.append_all(all).await.unwrap();
    assert_eq!(records.keep_newest("A", 4).await.unwrap(), 6);
    assert_eq!(records.keep_newest("A", 4).await.unwrap(), 0);
    assert_eq!(records.list(&Query::default()).await.unwrap().len(), 14);
    assert_eq!(records.newest().await.unwrap(), 20);
}
