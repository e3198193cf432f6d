//! The subresource scale of a custom kind.

use http::Method;
use serde_json::{Value, json};

use super::Case;
use super::definitions::{DEFINITIONS, Definition, establish};
use super::side::{Answer, Side};
use super::transcript::Transcript;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "scale",
            run: |side| Box::pin(scales(side)),
        },
        Case {
            name: "scale-definitions",
            run: |side| Box::pin(definitions(side)),
        },
    ]
}

fn paths() -> Value {
    json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector"})
}

fn scale(replicas: Value) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "o"}, "spec": {"replicas": replicas}})
}

/// A scale with what no two servers have in common only said to be there.
fn read(answer: Answer) -> Value {
    let mut body = answer.body.clone();
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        let given = body["metadata"][field].is_string();
        body["metadata"][field] = given.into();
    }
    match body["kind"].as_str() {
        Some("Scale") => json!({"code": answer.code, "scale": body}),
        _ => answer.seen(),
    }
}

fn to(replicas: Value) -> Value {
    json!({"spec": {"replicas": replicas}})
}

async fn scales(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let group = "scale.matrix.dev";
    let definition = Definition::new(group, "scales", "Scaled").scale(paths());
    establish(&side, &definition).await;
    let objects = definition.path("v1");
    let (object, at) = (format!("{objects}/o"), format!("{objects}/o/scale"));
    let mut new = definition.object("v1", "o");
    new["spec"]["replicas"] = 2.into();
    assert_eq!(side.post(&objects, &new).await.code, 201);
    let status = json!({"status": {"replicas": 1, "selector": "a=b"}});
    assert_eq!(side.merge(&format!("{object}/status"), &status).await.code, 200);
    seen.note("read", read(side.get(&at).await));
    seen.note("put", read(side.put(&at, &scale(json!(3))).await));
    let after = side.get(&object).await.body;
    seen.note(
        "the object",
        json!([after["spec"], after["status"], after["metadata"]["generation"]]),
    );
    let managers = after["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let last = managers
        .iter()
        .find(|one| one["subresource"] == "scale")
        .cloned()
        .unwrap_or_default();
    seen.note(
        "its owner",
        json!([last["manager"], last["operation"], last["fieldsV1"]]),
    );
    patches(&side, &at, &mut seen).await;
    let mut version = scale(json!(9));
    version["metadata"]["resourceVersion"] = "1".into();
    seen.note("put another version", side.put(&at, &version).await.verdict());
    let mut kind = scale(json!(9));
    kind["kind"] = "Scaled".into();
    seen.note("put a text", side.put(&at, &scale(json!("9"))).await.code);
    seen.note("put another kind", side.put(&at, &kind).await.code);
    seen.note(
        "dry run",
        read(side.merge(&format!("{at}?dryRun=All"), &to(json!(9))).await),
    );
    seen.note("after all", read(side.get(&at).await));
    seen.note(
        "a negative number in the object",
        side.merge(&object, &to(json!(-1))).await.seen(),
    );
    seen.note(
        "none in the object",
        side.merge(&object, &to(json!(null))).await.code,
    );
    seen.note("read without a number", side.get(&at).await.code);
    seen.note("merge without a number", side.merge(&at, &json!({})).await.code);
    seen.note("set where none was", read(side.merge(&at, &to(json!(1))).await));
    for method in [Method::POST, Method::DELETE] {
        let answer = side.ask(method.clone(), &at, "application/json", None).await;
        seen.note(method.to_string(), answer.verdict());
    }
    seen.note(
        "of nothing",
        side.get(&format!("{objects}/p/scale")).await.verdict(),
    );
    let found = side.get(&format!("/apis/{group}/v1")).await.body;
    let resources = found["resources"].as_array().cloned().unwrap_or_default();
    let found = resources.into_iter().find(|one| one["name"] == "scales/scale");
    seen.note("discovery", found.unwrap_or_default());
    seen
}

async fn patches(side: &Side, at: &str, seen: &mut Transcript) {
    for (step, body) in [
        ("merge", to(json!(4))),
        ("merge nothing", json!({})),
        ("to none", to(json!(0))),
        ("negative", to(json!(-1))),
        ("null", to(json!(null))),
        ("again", to(json!(5))),
        ("status is not written", json!({"status": {"replicas": 9}})),
        (
            "another version",
            json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 6}}),
        ),
        (
            "another name",
            json!({"metadata": {"name": "p"}, "spec": {"replicas": 6}}),
        ),
    ] {
        seen.note(step, read(side.merge(at, &body).await));
    }
    seen.note("text", side.merge(at, &to(json!("7"))).await.code);
    let patch = json!([{"op": "replace", "path": "/spec/replicas", "value": 8}]);
    let answer = side
        .ask(Method::PATCH, at, "application/json-patch+json", Some(&patch))
        .await;
    seen.note("json patch", read(answer));
    let strategic = "application/strategic-merge-patch+json";
    let answer = side.ask(Method::PATCH, at, strategic, Some(&to(json!(9)))).await;
    seen.note("strategic", answer.verdict());
}

async fn definitions(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    for (step, field, path) in [
        ("no path of the spec", "specReplicasPath", ""),
        ("a path elsewhere", "specReplicasPath", ".status.replicas"),
        (
            "a path of the status elsewhere",
            "statusReplicasPath",
            ".spec.replicas",
        ),
        ("a selector elsewhere", "labelSelectorPath", ".metadata.labels"),
        ("a path with an index", "specReplicasPath", ".spec.many[0]"),
        ("a path without a point", "specReplicasPath", "spec.replicas"),
    ] {
        let mut paths = paths();
        paths[field] = path.into();
        let definition = Definition::new("scales.matrix.dev", "others", "Other").scale(paths);
        let answer = side
            .post(&format!("{DEFINITIONS}?dryRun=All"), &definition.0)
            .await;
        seen.note(step, json!([answer.code, answer.seen()["causes"]]));
    }
    seen
}
