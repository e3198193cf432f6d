//! From servers, hardware and the pools of a cluster to what its ProviderCluster says.

use jiff::{SignedDuration, Timestamp};
use kube::core::PartialObjectMeta;
use resources::gantry::{Inventory, ProviderCluster, ProviderClusterStatus, ProviderPoolStatus, Server};
use resources::tinkerbell::Hardware;
use serde_json::{Value, json};

use super::*;
use crate::hosts::{Follower, Hosts, Woken};

const SPAN: SignedDuration = SignedDuration::from_hours(24);

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

fn hardware(name: &str, labels: Value) -> PartialObjectMeta<Hardware> {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "labels": labels}})).unwrap()
}

fn server(name: &str, mut spec: Value, state: &str) -> Server {
    spec["machineId"] = json!(format!("m-{name}"));
    spec["hardware"] = json!(name);
    serde_json::from_value(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name, "namespace": "n"},
        "spec": spec, "status": {"state": state},
    }))
    .unwrap()
}

fn claim(cluster: &str, pool: &str) -> Value {
    json!({"claim": {"kind": "ProviderMachine", "name": format!("{cluster}-{pool}-x"), "namespace": "n",
        "cluster": cluster, "pool": pool}})
}

/// Two machines of the control plane, and worker a to e.
fn hosts() -> Hosts {
    let mut hosts = Hosts::new(SPAN);
    for name in ["cp-1", "cp-2"] {
        put(&mut hosts, name, "cp", json!({}), "available");
    }
    for name in ["a", "b", "c", "d", "e"] {
        put(&mut hosts, name, "worker", json!({}), "available");
    }
    hosts
}

fn put(hosts: &mut Hosts, name: &str, kind: &str, spec: Value, state: &str) {
    hosts.put_hardware(&hardware(name, json!({"type": kind})));
    hosts.put_server(&server(name, spec, state));
}

fn cluster(pools: Value) -> ProviderCluster {
    serde_json::from_value(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderCluster",
        "metadata": {"name": "demo", "namespace": "n", "generation": 3},
        "spec": {"provider": "metal", "clusterName": "demo", "clusterUid": "u",
            "controlPlaneEndpoint": {"host": "192.0.2.10", "port": 6443}, "pools": pools},
    }))
    .unwrap()
}

fn pool(name: &str, role: &str, count: u32, kind: &str) -> Value {
    json!({"name": name, "role": role, "count": count, "metal": {"selector": [{"matchLabels": {"type": kind}}]}})
}

fn two_pools() -> ProviderCluster {
    cluster(json!([
        pool("cp", "controlPlane", 1, "cp"),
        pool("md-0", "worker", 2, "worker")
    ]))
}

fn status_of(object: &ProviderCluster, hosts: &mut Hosts, minute: i64) -> ProviderClusterStatus {
    let counted = hosts.count(("n", "demo"), &object.spec.pools, at(minute));
    status(object, &counted, at(minute))
}

fn row<'a>(status: &'a ProviderClusterStatus, name: &str) -> &'a ProviderPoolStatus {
    status.pools.iter().find(|pool| pool.name == name).unwrap()
}

fn ready(status: &ProviderClusterStatus) -> (&str, &str, &str) {
    let ready = status.ready().unwrap();
    (&ready.status, &ready.reason, &ready.message)
}

#[test]
fn free_hosts_are_counted_for_each_pool_and_the_others_have_a_reason() {
    let (object, mut hosts) = (two_pools(), hosts());
    let status = status_of(&object, &mut hosts, 0);
    assert_eq!((row(&status, "cp").free, row(&status, "md-0").free), (2, 5));
    assert_eq!(
        (ready(&status).0, status.observed_generation),
        ("True", Some(3)),
        "{status:?}"
    );
    assert!(status.initialization.unwrap().provisioned);

    put(&mut hosts, "a", "worker", claim("demo", "md-0"), "running");
    put(&mut hosts, "b", "worker", claim("other", "md-0"), "claimed");
    put(
        &mut hosts,
        "c",
        "worker",
        json!({"quarantine": {"reason": "fan"}}),
        "available",
    );
    let failure = json!({"lastFailure": {"attempt": 1, "workflow": "w", "owner": "o", "at": "1970-01-01T00:10:00Z",
        "reason": "no disk", "count": 1}});
    put(&mut hosts, "d", "worker", failure, "available");
    put(&mut hosts, "e", "worker", json!({}), "failed");
    let restored = json!({"restored": {"backupAt": "1970-01-01T00:10:00Z", "at": "1970-01-01T00:20:00Z"}});
    put(&mut hosts, "h", "worker", restored, "available");
    hosts.put_hardware(&hardware("f", json!({"type": "worker"})));
    hosts.put_hardware(&hardware(
        "g",
        json!({"type": "worker", "v1alpha1.tinkerbell.org/ownerName": "capt"}),
    ));
    hosts.put_server(&server("g", json!({}), "available"));
    let after = status_of(&object, &mut hosts, 20);
    let workers = row(&after, "md-0");
    assert_eq!((workers.hosts, workers.free), (1, 0));
    let mut reasons = workers.not_free.clone();
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "1 cooling down after a failed installation, until 1970-01-02T00:10:00Z (d)",
            "1 failed (e)",
            "1 in use by cluster other (b)",
            "1 known from a backup alone (h)",
            "1 not ready yet (f)",
            "1 owned by capt (g)",
            "1 quarantined (c)",
        ]
    );
    // The one that cools down is taken where there is no other.
    let (holds, _, message) = ready(&after);
    assert!(holds == "True" && message.contains("cooling down"), "{after:?}");
    put(&mut hosts, "d", "worker", json!({}), "failed");
    let after = status_of(&object, &mut hosts, 20);
    let (holds, reason, message) = ready(&after);
    assert_eq!((holds, reason), ("False", "NotEnoughHosts"));
    assert!(
        message.starts_with(
            "md-0: minimum hardware count not met for selector {type=worker}: have 0 free, require 1 (not free: "
        ) && message.ends_with("add rows with these labels to hardware.csv, or lower the count"),
        "{message}"
    );
}

#[test]
fn a_host_that_cools_down_counts_again_when_its_time_is_over() {
    let (object, mut hosts) = (two_pools(), hosts());
    let failure = json!({"lastFailure": {"attempt": 1, "workflow": "w", "owner": "o", "at": "1970-01-01T00:10:00Z",
        "reason": "no disk", "count": 1}});
    put(&mut hosts, "d", "worker", failure.clone(), "available");
    let count = |hosts: &mut Hosts, minute| {
        let pools = hosts.count(("n", "demo"), &object.spec.pools, at(minute));
        (pools.counted[1].free, pools.next)
    };
    let over = at(24 * 60 + 10);
    assert_eq!(count(&mut hosts, 24 * 60 + 9), (4, Some(over)));
    assert_eq!(count(&mut hosts, 24 * 60 + 10), (5, None));
    // A person says sooner that it may be tried again.
    let mut forgiven = failure;
    forgiven["retryRequestedAt"] = json!("1970-01-01T00:11:00Z");
    put(&mut hosts, "d", "worker", forgiven, "available");
    assert_eq!(count(&mut hosts, 20), (5, None));
}

#[test]
fn pools_with_one_selector_say_that_they_count_the_same_hosts() {
    let mut hosts = hosts();
    let twice = cluster(json!([
        pool("cp", "controlPlane", 1, "cp"),
        pool("md-0", "worker", 2, "worker"),
        pool("md-1", "worker", 3, "worker")
    ]));
    let status = status_of(&twice, &mut hosts, 0);
    for (name, other) in [("md-0", "md-1"), ("md-1", "md-0")] {
        let pool = row(&status, name);
        assert_eq!((pool.free, pool.shared), (5, 5));
        assert_eq!(pool.shared_with, [other]);
    }
    assert_eq!((row(&status, "cp").shared, ready(&status).0), (0, "True"));
    put(&mut hosts, "a", "worker", json!({}), "failed");
    let status = status_of(&twice, &mut hosts, 0);
    let (holds, _, message) = ready(&status);
    assert_eq!(holds, "False");
    assert!(
        message.starts_with(
            "md-0 and md-1: minimum hardware count not met for selector {type=worker}: have 4 free, require 5"
        ) && message.matches("minimum").count() == 1,
        "{message}"
    );
    // One of them has its machines: their hosts are not wanted a second time.
    for name in ["b", "c"] {
        put(&mut hosts, name, "worker", claim("demo", "md-0"), "running");
    }
    let status = status_of(&twice, &mut hosts, 0);
    assert_eq!((ready(&status).0, row(&status, "md-1").free), ("False", 2));
    put(&mut hosts, "a", "worker", json!({}), "available");
    assert_eq!(ready(&status_of(&twice, &mut hosts, 0)).0, "True");
}

#[test]
fn a_host_that_two_selectors_fit_is_told_before_the_first_machine_is_made() {
    let (object, mut hosts) = (
        cluster(json!([
            pool("cp", "controlPlane", 1, "cp"),
            {"name": "md-0", "role": "worker", "count": 1,
                "metal": {"selector": [{"matchLabels": {"rack": "7"}}, {"matchLabels": {"rack": "8"}}]}},
        ])),
        hosts(),
    );
    hosts.put_hardware(&hardware("cp-2", json!({"type": "cp", "rack": "8"})));
    let status = status_of(&object, &mut hosts, 0);
    assert_eq!(
        ready(&status),
        (
            "False",
            "OverlappingSelectors",
            "hardware must only satisfy 1 selector: cp-2 satisfies {type=cp} and {rack=7} or {rack=8}; give each group \
             labels of its own in hardware.csv"
        )
    );
    let cp = row(&status, "cp");
    assert_eq!(
        (cp.free, cp.shared, cp.shared_with.as_slice()),
        (2, 1, ["md-0".to_owned()].as_slice())
    );
    put(&mut hosts, "cp-1", "cp", claim("demo", "cp"), "running");
    assert_eq!(ready(&status_of(&object, &mut hosts, 0)).0, "True");
}

#[test]
fn a_selector_that_nothing_fits_is_told_by_name() {
    let mut hosts = hosts();
    let object = cluster(json!([pool("cp", "controlPlane", 1, "controlplane")]));
    let status = status_of(&object, &mut hosts, 0);
    assert_eq!(
        ready(&status).2,
        "cp: minimum hardware count not met for selector {type=controlplane}: have 0 free, require 1 (no hardware has these \
         labels); add rows with these labels to hardware.csv, or lower the count"
    );
    // Without a selector every server fits.
    let any = cluster(json!([{"name": "cp", "role": "controlPlane", "count": 7, "metal": {}}]));
    let status = status_of(&any, &mut hosts, 0);
    assert_eq!((row(&status, "cp").free, ready(&status).0), (7, "True"));
}

fn name(follower: Follower) -> String {
    let (Follower::Cluster(name) | Follower::Machine(name)) = follower;
    name
}

#[test]
fn a_change_wakes_those_whose_counts_it_changes_and_nobody_else() {
    let mut hosts = hosts();
    let count = |hosts: &mut Hosts, name: &str, kind: &str| {
        let pools = cluster(json!([pool("p", "worker", 1, kind)])).spec.pools;
        hosts.count(("n", name), &pools, at(0)).counted[0].free
    };
    count(&mut hosts, "blue", "cp");
    count(&mut hosts, "green", "worker");
    let woken = |hosts: &mut Hosts, spec: Value, state: &str| -> Vec<String> {
        let woken: Woken = hosts.put_server(&server("a", spec, state));
        woken.into_iter().map(|(_, follower)| name(follower)).collect()
    };
    assert_eq!(
        woken(&mut hosts, json!({}), "available"),
        [""; 0],
        "nothing has changed"
    );
    assert_eq!(woken(&mut hosts, json!({}), "failed"), ["green"]);
    // Whose machine it is: the count of the pool's own hosts changes too.
    assert_eq!(
        woken(&mut hosts, claim("blue", "p"), "claimed"),
        ["blue", "green"]
    );
    assert_eq!(
        woken(&mut hosts, claim("blue", "p"), "running"),
        [""; 0],
        "a state of its owner's"
    );
    let moved = hosts.put_hardware(&hardware("a", json!({"type": "cp"})));
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert_eq!(hosts.drop_server("n", "a").len(), 1);
    assert_eq!(hosts.drop_hardware("n", "a").len(), 1);
    assert_eq!(
        (
            count(&mut hosts, "blue", "cp"),
            count(&mut hosts, "green", "worker")
        ),
        (2, 4)
    );
    // Another selector, and none: the old one is counted for nobody.
    count(&mut hosts, "green", "cp");
    hosts.forget("n", "blue");
    put(&mut hosts, "b", "worker", json!({}), "failed");
    assert_eq!(hosts.put_server(&server("cp-1", json!({}), "failed")).len(), 1);
}

#[test]
fn numbers_alone_can_wait() {
    let (object, mut hosts) = (two_pools(), hosts());
    let before = status_of(&object, &mut hosts, 0);
    assert!(is_urgent(None, &before));
    put(&mut hosts, "a", "worker", json!({}), "failed");
    assert!(!is_urgent(Some(&before), &status_of(&object, &mut hosts, 0)));
    for name in ["b", "c", "d", "e"] {
        put(&mut hosts, name, "worker", claim("demo", "md-0"), "running");
    }
    let after = status_of(&object, &mut hosts, 0);
    assert_eq!((row(&after, "md-0").free, ready(&after).0), (0, "True"));
    assert!(is_urgent(Some(&before), &after), "there is no free one left");
}

#[test]
fn a_pool_says_what_its_smallest_hosts_have_as_far_as_agents_have_run_on_them() {
    let (object, mut hosts) = (two_pools(), hosts());
    let inspect = |hosts: &mut Hosts, name: &str, spec: Value, found: Option<(u32, u64)>| {
        let mut server = server(name, spec, "available");
        let status = server.status.get_or_insert_default();
        status.inventory = found.map(|(cpus, memory)| Inventory {
            cpus: Some(cpus),
            memory: Some(memory),
            ..Inventory::default()
        });
        hosts.put_server(&server)
    };
    let capacity = |hosts: &mut Hosts| {
        let status = status_of(&object, hosts, 0);
        row(&status, "md-0")
            .capacity
            .map(|least| (least.cpus, least.memory))
    };
    assert_eq!(capacity(&mut hosts), None);
    inspect(&mut hosts, "a", json!({}), Some((16, 64)));
    inspect(&mut hosts, "b", json!({}), Some((8, 128)));
    inspect(&mut hosts, "cp-1", json!({}), Some((2, 4)));
    assert_eq!(capacity(&mut hosts), Some((8, 64)));
    // Whoever has it now, it may be had later.
    inspect(&mut hosts, "b", claim("other", "md-0"), Some((8, 128)));
    assert_eq!(capacity(&mut hosts), Some((8, 64)));
    inspect(&mut hosts, "a", json!({}), Some((32, 256)));
    assert_eq!(capacity(&mut hosts), Some((8, 128)));
    hosts.drop_server("n", "b");
    assert_eq!(capacity(&mut hosts), Some((32, 256)));
    inspect(&mut hosts, "a", json!({}), None);
    assert_eq!(capacity(&mut hosts), None);
}
