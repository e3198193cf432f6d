//! Machines that look for a server: what they are told, and which of them is woken.

use serde_json::{Value, json};

use super::*;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn put(hosts: &mut Hosts, name: &str, kind: &str, spec: Value) -> Vec<String> {
    let hardware = json!({"metadata": {"name": name, "namespace": "n", "labels": {"type": kind}}});
    let hardware: PartialObjectMeta<Hardware> = serde_json::from_value(hardware).unwrap();
    let mut woken = hosts.put_hardware(&hardware);
    let mut server = json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name, "namespace": "n"},
        "spec": spec, "status": {"state": "available"},
    });
    server["spec"]["machineId"] = json!(format!("m-{name}"));
    server["spec"]["hardware"] = json!(name);
    woken.extend(hosts.put_server(&serde_json::from_value::<Server>(server).unwrap()));
    names(woken)
}

fn names(woken: Woken) -> Vec<String> {
    let names = woken.into_iter().map(|(_, follower)| match follower {
        Follower::Machine(name) => name,
        Follower::Cluster(name) => format!("cluster {name}"),
    });
    names.collect()
}

fn claimed_by(machine: &str) -> Value {
    json!({"claim": {"kind": "ProviderMachine", "name": machine, "namespace": "n", "cluster": "demo"}})
}

fn selector(kind: &str) -> Vec<SelectorTerm> {
    vec![SelectorTerm {
        match_labels: [("type".to_owned(), kind.to_owned())].into(),
        ..SelectorTerm::default()
    }]
}

fn seek(hosts: &mut Hosts, machine: &str) -> Sought {
    hosts.seek(("n", machine), &selector("worker"), START)
}

fn hosts() -> Hosts {
    Hosts::new(SignedDuration::from_hours(24))
}

#[test]
fn a_machine_is_told_of_free_servers_then_of_those_that_cool_down_and_why_others_are_not_free() {
    let mut hosts = hosts();
    let failed = |minute: u8| {
        json!({"lastFailure": {"attempt": 1, "workflow": "w", "owner": "o", "at": format!("1970-01-01T00:{minute}:00Z"),
            "reason": "no disk", "count": 1}})
    };
    put(&mut hosts, "a", "worker", failed(20));
    put(&mut hosts, "b", "worker", failed(10));
    put(&mut hosts, "c", "worker", json!({}));
    put(&mut hosts, "d", "worker", claimed_by("x"));
    put(&mut hosts, "e", "cp", json!({}));
    let sought = seek(&mut hosts, "m");
    assert_eq!(sought.servers, ["c", "b", "a"]);
    assert_eq!(sought.not_free, ["d is claimed by x"]);
    for number in 0..8 {
        put(
            &mut hosts,
            &format!("f-{number}"),
            "worker",
            json!({"quarantine": {"reason": "fan"}}),
        );
    }
    // Of many each is not named.
    let sought = seek(&mut hosts, "m");
    assert_eq!(sought.not_free[0], "8 quarantined (f-0, f-1, f-2, ...)");
    assert!(
        sought
            .not_free
            .contains(&"1 in use by cluster demo (d)".to_owned()),
        "{sought:?}"
    );
    let later = START + SignedDuration::from_hours(25);
    let sought = hosts.seek(("n", "m"), &selector("worker"), later);
    assert_eq!(sought.servers, ["a", "b", "c"]);
}

#[test]
fn a_server_that_becomes_free_wakes_one_machine_that_waits_for_such_a_one() {
    let mut hosts = hosts();
    put(&mut hosts, "a", "worker", claimed_by("x"));
    for machine in ["m-1", "m-2", "m-3"] {
        assert_eq!(seek(&mut hosts, machine).servers, [""; 0]);
    }
    hosts.seek(("n", "other"), &selector("cp"), START);
    assert_eq!(put(&mut hosts, "a", "worker", json!({})), ["m-1"]);
    assert_eq!(
        put(&mut hosts, "a", "worker", json!({"postMinutes": 5})),
        [""; 0],
        "it was free before"
    );
    assert_eq!(seek(&mut hosts, "m-1").servers, ["a"]);
    hosts.found("n", "m-1");
    assert_eq!(put(&mut hosts, "a", "worker", claimed_by("m-1")), [""; 0]);
    assert_eq!(
        names(hosts.end_search("n", "m-1")),
        [""; 0],
        "there is none for another one"
    );
    // Those that found nothing are woken again; one that has what it looked for is not.
    assert_eq!(seek(&mut hosts, "m-2").servers, [""; 0]);
    assert_eq!(put(&mut hosts, "b", "worker", json!({})), ["m-2"]);
    assert_eq!(put(&mut hosts, "c", "worker", json!({})), ["m-3"]);
    assert_eq!(put(&mut hosts, "d", "worker", json!({})), [""; 0], "nobody waits");
    // Also when its labels change.
    assert_eq!(put(&mut hosts, "d", "cp", json!({})), ["other"]);
}

#[test]
fn a_machine_that_takes_nothing_leaves_it_to_the_next_one_that_waits() {
    let mut hosts = hosts();
    for machine in ["m-1", "m-2", "m-3"] {
        seek(&mut hosts, machine);
    }
    assert_eq!(put(&mut hosts, "a", "worker", json!({})), ["m-1"]);
    // It was deleted before it looked again.
    assert_eq!(names(hosts.end_search("n", "m-1")), ["m-2"]);
    seek(&mut hosts, "m-2");
    hosts.found("n", "m-2");
    assert_eq!(names(hosts.end_search("n", "m-2")), ["m-3"]);
    assert_eq!(names(hosts.end_search("n", "m-3")), [""; 0]);
    assert_eq!(
        names(hosts.end_search("n", "m-3")),
        [""; 0],
        "it looks for nothing"
    );
}

#[test]
fn a_server_that_one_machine_is_about_to_claim_is_passed_over_by_others() {
    let mut hosts = hosts();
    put(&mut hosts, "a", "worker", json!({}));
    put(&mut hosts, "b", "worker", json!({}));
    assert_eq!(seek(&mut hosts, "m-1").servers, ["a", "b"]);
    assert!(hosts.reserve(("n", "m-1"), "a"));
    assert!(!hosts.reserve(("n", "m-2"), "a"));
    assert_eq!(seek(&mut hosts, "m-2").servers, ["b"]);
    assert!(hosts.reserve(("n", "m-2"), "b"));
    assert_eq!(seek(&mut hosts, "m-3").servers, [""; 0]);
    // One that looks again is told of its own; who waits is woken, because it may take another one now.
    hosts.found("n", "m-1");
    hosts.found("n", "m-2");
    assert_eq!(names(hosts.release("n", "m-1")), ["m-3"]);
    assert_eq!(seek(&mut hosts, "m-3").servers, ["a"]);
    assert_eq!(
        names(hosts.release("n", "m-1")),
        [""; 0],
        "there is nothing left to release"
    );
    assert_eq!(names(hosts.end_search("n", "m-2")), ["m-3"]);
    assert_eq!(seek(&mut hosts, "m-3").servers, ["a", "b"]);
}

/// As many machines wait as servers come, and each server is claimed by the machine that it wakes.
#[test]
fn ten_times_the_servers_and_machines_are_ten_times_the_looks() {
    let looks = |count: usize| {
        let mut hosts = hosts();
        let mut looks = 0;
        for number in 0..count {
            seek(&mut hosts, &format!("m-{number}"));
            looks += 1;
        }
        for number in 0..count {
            let host = format!("h-{number}");
            let mut woken = put(&mut hosts, &host, "worker", json!({}));
            while let Some(machine) = woken.pop() {
                looks += 1;
                assert_eq!(seek(&mut hosts, &machine).servers, [host.as_str()]);
                hosts.found("n", &machine);
                put(&mut hosts, &host, "worker", claimed_by(&machine));
                woken.extend(names(hosts.end_search("n", &machine)));
            }
        }
        assert_eq!(seek(&mut hosts, "late").servers, [""; 0], "each has found one");
        looks
    };
    assert_eq!((looks(1_000), looks(10_000)), (2_000, 20_000));
}
