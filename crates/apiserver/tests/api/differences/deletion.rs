//! Finalizers, owners, propagation and namespaces, with writers at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::Case;
use super::side::{Side, owner};
use super::transcript::Transcript;

const HOLD: &str = "hold.example.dev/finalizer";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "orphans-with-writers",
            run: |side| Box::pin(orphans_with_writers(side)),
        },
        Case {
            name: "namespace-with-writers",
            run: |side| Box::pin(namespace_with_writers(side)),
        },
        Case {
            name: "namespace-with-finalizer",
            run: |side| Box::pin(namespace_with_finalizer(side)),
        },
        Case {
            name: "foreground-late-dependent",
            run: |side| Box::pin(foreground_late_dependent(side)),
        },
        Case {
            name: "foreground-not-blocking",
            run: |side| Box::pin(foreground_not_blocking(side)),
        },
        Case {
            name: "foreground-generations",
            run: |side| Box::pin(foreground_generations(side)),
        },
        Case {
            name: "owners-that-are-not-there",
            run: |side| Box::pin(owners_that_are_not_there(side)),
        },
        Case {
            name: "terminating",
            run: |side| Box::pin(terminating(side)),
        },
    ]
}

/// Tasks that change an annotation again and again until they are stopped.
struct Writers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Writers {
    fn start(side: &Side, paths: impl Iterator<Item = String>) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for path in paths {
            let (side, stop) = (side.clone(), stop.clone());
            tasks.spawn(async move {
                for turn in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let change = json!({"metadata": {"annotations": {"turn": turn.to_string()}}});
                    side.merge(&path, &change).await;
                }
            });
        }
        Writers { stop, tasks }
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Names of the objects that are left, with the names of their owners.
async fn left(side: &Side, maps: &str) -> Value {
    let list = side.get(maps).await;
    let items = list.body["items"].as_array().into_iter().flatten();
    let mut left = Map::new();
    for item in items {
        let owners = item["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten();
        let owners: Vec<&Value> = owners.map(|owner| &owner["name"]).collect();
        let name = item["metadata"]["name"].as_str().unwrap_or_default();
        left.insert(name.to_owned(), json!(owners));
    }
    Value::Object(left)
}

async fn orphans_with_writers(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("orphans").await;
    let parent = side.config_map(&maps, "parent", json!({})).await;
    for i in 0..18 {
        let metadata = json!({"ownerReferences": owner(&parent, i % 2 == 0)});
        side.config_map(&maps, &format!("child-{i:02}"), metadata).await;
    }
    let writers = Writers::start(&side, (0..9).map(|i| format!("{maps}/child-{i:02}")));
    let answer = side
        .delete(&format!("{maps}/parent?propagationPolicy=Orphan"))
        .await;
    seen.note(
        "delete",
        json!([answer.code, answer.body["metadata"]["finalizers"]]),
    );
    seen.note("the owner goes", side.gone(&format!("{maps}/parent")).await);
    writers.end().await;
    side.collector_has_looked(&maps).await;
    seen.note("left", left(&side, &maps).await);
    seen
}

async fn namespace_with_writers(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    for round in 0..4 {
        let name = format!("written-{round}");
        let maps = side.namespace(&name).await;
        side.config_map(&maps, "busy", json!({})).await;
        let writers = Writers::start(&side, std::iter::repeat_n(format!("{maps}/busy"), 3));
        let answer = side.delete(&format!("/api/v1/namespaces/{name}")).await;
        seen.note(
            format!("delete {round}"),
            json!([answer.code, answer.body["status"]["phase"]]),
        );
        let gone = side.gone(&format!("/api/v1/namespaces/{name}")).await;
        seen.note(format!("the namespace goes {round}"), gone);
        writers.end().await;
    }
    seen
}

async fn namespace_with_finalizer(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("held").await;
    side.config_map(&maps, "held", json!({"finalizers": [HOLD]}))
        .await;
    side.config_map(&maps, "plain", json!({})).await;
    side.delete("/api/v1/namespaces/held").await;
    seen.note(
        "the held object is marked",
        side.terminating(&format!("{maps}/held")).await,
    );
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}});
    seen.note("create", side.post(&maps, &other).await.verdict());
    // The collector goes over the namespace; what it leaves is what it means to leave.
    let canary = side.namespace("held-canary").await;
    side.delete("/api/v1/namespaces/held-canary").await;
    side.gone(canary.trim_end_matches("/configmaps")).await;
    seen.note("the plain object", side.get(&format!("{maps}/plain")).await.code);
    side.merge(
        &format!("{maps}/held"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await;
    seen.note("the namespace goes", side.gone("/api/v1/namespaces/held").await);
    seen
}

async fn foreground_late_dependent(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("late").await;
    let parent = side.config_map(&maps, "parent", json!({})).await;
    let first = json!({"ownerReferences": owner(&parent, true), "finalizers": [HOLD]});
    side.config_map(&maps, "first", first).await;
    side.delete(&format!("{maps}/parent?propagationPolicy=Foreground"))
        .await;
    seen.note(
        "the first is marked",
        side.terminating(&format!("{maps}/first")).await,
    );
    let late = json!({"ownerReferences": owner(&parent, true)});
    side.config_map(&maps, "late", late).await;
    side.merge(
        &format!("{maps}/first"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await;
    for name in ["first", "late", "parent"] {
        seen.note(format!("{name} goes"), side.gone(&format!("{maps}/{name}")).await);
    }
    seen
}

async fn foreground_not_blocking(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("not-blocking").await;
    let parent = side.config_map(&maps, "parent", json!({})).await;
    let held = json!({"ownerReferences": owner(&parent, false), "finalizers": [HOLD]});
    side.config_map(&maps, "held", held).await;
    let answer = side
        .delete(&format!("{maps}/parent?propagationPolicy=Foreground"))
        .await;
    seen.note(
        "delete",
        json!([answer.code, answer.body["metadata"]["finalizers"]]),
    );
    seen.note("the owner goes", side.gone(&format!("{maps}/parent")).await);
    seen.note(
        "the held one is marked",
        side.terminating(&format!("{maps}/held")).await,
    );
    side.merge(
        &format!("{maps}/held"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await;
    seen.note("the held one goes", side.gone(&format!("{maps}/held")).await);
    seen
}

async fn foreground_generations(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("generations").await;
    let parent = side.config_map(&maps, "parent", json!({})).await;
    let child = json!({"ownerReferences": owner(&parent, true)});
    let child = side.config_map(&maps, "child", child).await;
    let last = json!({"ownerReferences": owner(&child, true), "finalizers": [HOLD]});
    side.config_map(&maps, "grandchild", last).await;
    side.delete(&format!("{maps}/parent?propagationPolicy=Foreground"))
        .await;
    seen.note(
        "the last is marked",
        side.terminating(&format!("{maps}/grandchild")).await,
    );
    for name in ["parent", "child", "grandchild"] {
        seen.note(name, side.get(&format!("{maps}/{name}")).await.seen());
    }
    side.merge(
        &format!("{maps}/grandchild"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await;
    for name in ["grandchild", "child", "parent"] {
        seen.note(format!("{name} goes"), side.gone(&format!("{maps}/{name}")).await);
    }
    seen
}

async fn owners_that_are_not_there(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("absent").await;
    let elsewhere = side.namespace("absent-elsewhere").await;
    let there = side.config_map(&maps, "there", json!({})).await;
    let far = side.config_map(&elsewhere, "far", json!({})).await;
    let reference = |version: &str, kind: &str, name: &str, uid: &str| json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid});
    let one = |list: &[&Value]| json!({"ownerReferences": list});
    let lives = owner(&there, false)[0].clone();
    let unserved = reference("absent.example.dev/v1", "Nope", "n", "1-1");
    let version = reference("v7", "ConfigMap", "n", "1-2");
    let absent = reference("v1", "ConfigMap", "n", "1-3");
    let absent_node = reference("v1", "Namespace", "n", "1-4");
    let renamed = reference("v1", "ConfigMap", "other-name", &there.uid());
    let other_kind = reference("v1", "Secret", "there", &there.uid());
    let other_namespace = owner(&far, false)[0].clone();
    for (name, owners) in [
        ("unserved-kind", one(&[&unserved])),
        ("unserved-version", one(&[&version])),
        ("unserved-and-absent", one(&[&unserved, &absent])),
        ("absent", one(&[&absent])),
        ("absent-cluster-scoped", one(&[&absent_node])),
        ("absent-and-there", one(&[&absent, &lives])),
        ("unserved-and-there", one(&[&unserved, &lives])),
        ("wrong-name", one(&[&renamed])),
        ("wrong-kind", one(&[&other_kind])),
        ("other-namespace", one(&[&other_namespace])),
    ] {
        side.config_map(&maps, name, owners).await;
    }
    let mut wide = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": one(&[&absent])});
    wide["metadata"]["name"] = "absent-wide".into();
    side.post("/api/v1/namespaces", &wide).await;
    for name in ["absent", "absent-cluster-scoped"] {
        seen.note(format!("{name} goes"), side.gone(&format!("{maps}/{name}")).await);
    }
    let dropped = |answer: &super::side::Answer| {
        answer.body["metadata"]["ownerReferences"]
            .as_array()
            .map(Vec::len)
            == Some(1)
    };
    seen.note(
        "one is dropped",
        side.until(&format!("{maps}/absent-and-there"), dropped).await,
    );
    side.collector_has_looked(&maps).await;
    seen.note("left", left(&side, &maps).await);
    seen.note(
        "a namespace",
        side.get("/api/v1/namespaces/absent-wide").await.verdict(),
    );
    seen
}

async fn terminating(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("terminating").await;
    let path = format!("{maps}/held");
    side.config_map(&maps, "held", json!({"finalizers": [HOLD]}))
        .await;
    seen.note("delete", side.delete(&path).await.seen());
    seen.note("delete again", side.delete(&path).await.seen());
    let more = json!({"metadata": {"finalizers": [HOLD, "late.example.dev/f"]}});
    seen.note("a new finalizer", side.merge(&path, &more).await.seen());
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    seen.note("a label", side.merge(&path, &label).await.seen());
    let body = json!({"preconditions": {"uid": "other"}});
    let wrong = side
        .ask(Method::DELETE, &path, "application/json", Some(&body))
        .await;
    seen.note("a wrong uid", wrong.verdict());
    let none = json!({"metadata": {"finalizers": []}});
    seen.note("no finalizer", side.merge(&path, &none).await.code);
    seen.note("gone", side.get(&path).await.verdict());
    side.config_map(&maps, "plain", json!({})).await;
    let plain = side.delete(&format!("{maps}/plain")).await;
    seen.note("delete a plain one", plain.verdict());
    for policy in ["Foreground", "Orphan", "Sideways"] {
        let name = policy.to_lowercase();
        side.config_map(&maps, &name, json!({})).await;
        let answer = side
            .delete(&format!("{maps}/{name}?propagationPolicy={policy}"))
            .await;
        seen.note(
            format!("delete {policy}"),
            json!([answer.verdict(), answer.body["metadata"]["finalizers"]]),
        );
    }
    seen
}
