#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::super::budget::budget_view;
use super::super::pod::Controller;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(name: &str) -> PodView {
    PodView {
        id: PodId {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-{name}"),
        },
        controller: Some(Controller {
            kind: "ReplicaSet".to_owned(),
            name: "rs".to_owned(),
        }),
        labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
        ..PodView::default()
    }
}

fn bare(name: &str) -> PodView {
    PodView {
        controller: None,
        ..pod(name)
    }
}

fn ending(name: &str, second: i64) -> PodView {
    PodView {
        ends: Some(at(second)),
        disruption: Some("EvictionByEvictionAPI".to_owned()),
        ..pod(name)
    }
}

fn daemon(name: &str) -> PodView {
    let mut pod = pod(name);
    pod.controller.as_mut().unwrap().kind = "DaemonSet".to_owned();
    pod
}

fn refused(name: &str, retry: i64) -> Refusal {
    Refusal {
        pod: pod(name).id,
        reason: "needs 2 healthy pods and has 2".to_owned(),
        retry: at(retry),
    }
}

fn budget(namespace: &str, name: &str, selector: &serde_json::Value) -> BudgetView {
    budget_view(
        &serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": namespace, "name": name}, "spec": {"selector": selector}
        }))
        .unwrap(),
    )
}

fn policy(force: bool) -> DrainPolicy {
    DrainPolicy {
        force,
        timeout: SignedDuration::from_secs(600),
    }
}

/// A cordoned node that is ready, 100 s after the begin at 1000.
fn input<'a>(pods: &'a [PodView], refusals: &'a [Refusal], policy: &'a DrainPolicy) -> DrainInput<'a> {
    DrainInput {
        cordoned: true,
        ready: true,
        pods,
        budgets: &[],
        refusals,
        policy,
        began: at(1000),
        now: at(1100),
    }
}

fn evict(names: &[&str]) -> Drain {
    Drain::Evict(names.iter().map(|name| pod(name).id).collect())
}

fn wait(reason: &str, until: i64) -> Drain {
    Drain::Wait {
        reason: reason.to_owned(),
        until: at(until),
    }
}

#[test]
fn pods_leave_unless_they_stay_end_or_were_refused_just_now() {
    let cases: Vec<(Vec<PodView>, Vec<Refusal>, Drain)> = vec![
        (vec![], vec![], Drain::Done),
        (vec![daemon("d")], vec![], Drain::Done),
        (vec![pod("a"), daemon("d"), pod("b")], vec![], evict(&["a", "b"])),
        (
            vec![ending("a", 1103)],
            vec![],
            wait(
                "pod shop/a ends until 1970-01-01T00:18:23Z (EvictionByEvictionAPI)",
                1103,
            ),
        ),
        // Its grace period is over, and its kubelet has not confirmed the end yet.
        (
            vec![ending("a", 1090)],
            vec![],
            wait(
                "pod shop/a ends until 1970-01-01T00:18:10Z (EvictionByEvictionAPI)",
                1105,
            ),
        ),
        // One that has an hour is looked at soon all the same: it may end before.
        (
            vec![ending("a", 4700)],
            vec![],
            wait(
                "pod shop/a ends until 1970-01-01T01:18:20Z (EvictionByEvictionAPI)",
                1105,
            ),
        ),
        // A refused pod does not hold the others back.
        (vec![pod("a"), pod("b")], vec![refused("a", 1102)], evict(&["b"])),
        (
            vec![pod("a")],
            vec![refused("a", 1102)],
            wait("pod shop/a: needs 2 healthy pods and has 2", 1102),
        ),
        (vec![pod("a")], vec![refused("a", 1100)], evict(&["a"])),
        (
            vec![pod("a"), ending("b", 1130)],
            vec![refused("a", 1101)],
            wait(
                "pod shop/a: needs 2 healthy pods and has 2; pod shop/b ends until 1970-01-01T00:18:50Z \
                 (EvictionByEvictionAPI)",
                1101,
            ),
        ),
    ];
    let policy = policy(false);
    for (pods, refusals, expected) in cases {
        assert_eq!(decide(&input(&pods, &refusals, &policy)), expected, "{pods:?}");
    }
}

#[test]
fn a_pod_without_a_controller_needs_force_and_nothing_is_done_before() {
    let pods = [pod("a"), bare("tool")];
    let blocked = Drain::Blocked {
        reason: "pods without a controller: shop/tool; delete or move them, or force the drain".to_owned(),
    };
    for cordoned in [false, true] {
        let policy = policy(false);
        let input = DrainInput {
            cordoned,
            ..input(&pods, &[], &policy)
        };
        assert_eq!(decide(&input), blocked);
    }
    assert_eq!(decide(&input(&pods, &[], &policy(true))), evict(&["a", "tool"]));
    // Somebody deletes it already, or it has finished.
    let leaving = PodView {
        ends: Some(at(1130)),
        ..bare("tool")
    };
    assert_eq!(
        decide(&input(&[leaving], &[], &policy(false))),
        wait("pod shop/tool ends until 1970-01-01T00:18:50Z (deleted)", 1105)
    );
    let finished = PodView {
        finished: true,
        ..bare("tool")
    };
    assert_eq!(decide(&input(&[finished], &[], &policy(false))), Drain::Done);
}

#[test]
fn the_node_is_cordoned_before_anything_and_even_if_it_is_empty() {
    for pods in [vec![], vec![pod("a")], vec![ending("a", 1130)]] {
        let policy = policy(false);
        let input = DrainInput {
            cordoned: false,
            ..input(&pods, &[], &policy)
        };
        assert_eq!(decide(&input), Drain::Cordon);
    }
}

#[test]
fn the_time_of_the_policy_ends_the_wait() {
    let policy = policy(false);
    let pods = [pod("a"), pod("b"), ending("c", 9999)];
    let refusals = [refused("a", 1605)];
    let decided = |now: i64, pods: &[PodView]| {
        decide(&DrainInput {
            now: at(now),
            ..input(pods, &refusals, &policy)
        })
    };
    assert_eq!(decided(1599, &pods), evict(&["b"]));
    // The wait ends with the time of the policy.
    assert!(matches!(decided(1599, &pods[..1]), Drain::Wait { until, .. } if until == at(1600)));
    let expected = Drain::Overdue {
        reason:
            "pod shop/a: needs 2 healthy pods and has 2; pod shop/b is to be evicted; pod shop/c ends until \
                 1970-01-01T02:46:39Z (EvictionByEvictionAPI)"
                .to_owned(),
    };
    assert_eq!(decided(1600, &pods), expected);
    assert_eq!(decided(1600, &[]), Drain::Done, "an empty node is not late");
}

#[test]
fn a_dead_kubelet_confirms_no_end() {
    let policy = policy(false);
    let decided = |ready: bool, pods: &[PodView]| {
        decide(&DrainInput {
            ready,
            ..input(pods, &[], &policy)
        })
    };
    assert_eq!(decided(false, &[ending("a", 1100)]), Drain::Done);
    assert!(matches!(decided(true, &[ending("a", 1100)]), Drain::Wait { .. }));
    assert!(matches!(decided(false, &[ending("a", 1101)]), Drain::Wait { .. }));
    assert_eq!(decided(false, &[pod("a"), ending("b", 1100)]), evict(&["a"]));
}

#[test]
fn the_budgets_that_cover_a_refused_pod_are_named() {
    let web = serde_json::json!({"matchLabels": {"app": "web"}});
    let any =
        serde_json::json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]});
    let none = serde_json::json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]});
    let everything = serde_json::json!({});
    let null = serde_json::Value::Null;
    let cases = [
        (
            vec![budget("shop", "web", &web)],
            "pod shop/web, PodDisruptionBudget web: ",
        ),
        (
            vec![budget("shop", "web", &web), budget("shop", "any", &any)],
            "pod shop/web, PodDisruptionBudget web and any: ",
        ),
        (
            vec![budget("shop", "all", &everything)],
            "pod shop/web, PodDisruptionBudget all: ",
        ),
        (vec![budget("other", "web", &web)], "pod shop/web: "),
        (vec![budget("shop", "none", &none)], "pod shop/web: "),
        (vec![budget("shop", "null", &null)], "pod shop/web: "),
    ];
    let (pods, refusals, policy) = ([pod("web")], [refused("web", 1102)], policy(false));
    for (budgets, expected) in cases {
        let decided = decide(&DrainInput {
            budgets: &budgets,
            ..input(&pods, &refusals, &policy)
        });
        let expected = format!("{expected}needs 2 healthy pods and has 2");
        assert_eq!(decided, wait(&expected, 1102), "{budgets:?}");
    }
}

#[test]
fn a_long_list_is_cut() {
    let pods: Vec<PodView> = (0..8).map(|number| bare(&format!("p{number}"))).collect();
    let Drain::Blocked { reason } = decide(&input(&pods, &[], &policy(false))) else {
        unreachable!()
    };
    assert!(reason.contains("shop/p4, and 3 more; delete"), "{reason}");
}

#[test]
fn the_api_names_when_a_refused_eviction_is_tried_again() {
    let refusal = |after| Refusal::new(pod("a").id, String::new(), after, at(1100)).retry;
    assert_eq!(refusal(None), at(1105));
    assert_eq!(refusal(Some(SignedDuration::from_secs(10))), at(1110));
}
