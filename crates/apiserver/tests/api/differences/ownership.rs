//! Field ownership: the way from client-side to server-side apply, and options that are judged before the object.

use http::Method;
use serde_json::{Value, json};

use super::Case;
use super::side::{Answer, Side};
use super::transcript::Transcript;

pub(super) const APPLY: &str = "application/apply-patch+yaml";
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const JSON_PATCH: &str = "application/json-patch+json";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "ownership-migration",
            run: |side| Box::pin(migration(side)),
        },
        Case {
            name: "ownership-options",
            run: |side| Box::pin(options(side)),
        },
    ]
}

/// Of a failure code, reason and causes, of an object everything that writes decide.
pub(super) fn seen(answer: &Answer) -> Value {
    if answer.body["kind"] == "Status" {
        let mut seen = answer.seen();
        if answer.code == 409 {
            seen["message"] = answer.body["message"].clone();
        }
        return seen;
    }
    let meta = &answer.body["metadata"];
    let mut owners: Vec<Value> = meta["managedFields"].as_array().cloned().unwrap_or_default();
    for entry in owners.iter_mut().filter_map(Value::as_object_mut) {
        entry.remove("time");
    }
    owners.sort_by_key(|entry| {
        format!(
            "{} {} {}",
            entry["operation"], entry["manager"], entry["subresource"]
        )
    });
    json!({"code": answer.code, "spec": answer.body["spec"], "status": answer.body["status"],
        "labels": meta["labels"], "generation": meta["generation"], "owners": owners})
}

/// The requests of kubectl and Flux: an object of client-side apply becomes one of server-side apply.
async fn migration(side: Side) -> Transcript {
    let mut transcript = Transcript::default();
    let maps = side.namespace("migration").await;
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let config = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data});
    let mut first = config(json!({"a": "1", "b": "1"}));
    first["metadata"]["annotations"][annotation] = config(json!({"a": "1", "b": "1"})).to_string().into();
    let made = side
        .post(&format!("{maps}?fieldManager=kubectl-client-side-apply"), &first)
        .await;
    transcript.note("client-side apply", seen(&made));
    let path = format!("{maps}/m");
    let apply = |manager: &str, data: Value| {
        let (side, path) = (side.clone(), format!("{path}?fieldManager={manager}"));
        async move { side.ask(Method::PATCH, &path, APPLY, Some(&config(data))).await }
    };
    let data = |answer: &Answer| {
        json!({"code": answer.code, "data": answer.body["data"],
        "message": if answer.code == 409 { answer.body["message"].clone() } else { Value::Null },
        "owners": seen(answer)["owners"]})
    };
    // A manager of another name has no part in the annotation; kubectl takes over what it names.
    let other = apply("flux", json!({"a": "2"})).await;
    transcript.note("another manager", data(&other));
    let own = apply("kubectl", json!({"a": "2", "b": "1"})).await;
    transcript.note("kubectl", data(&own));
    let last = own.body["metadata"]["annotations"][annotation]
        .as_str()
        .unwrap_or_default();
    let last: Value = serde_json::from_str(last).unwrap_or_default();
    transcript.note("annotation", last["data"].clone());
    // What csaupgrade sends: the fields of the update manager go to the apply manager.
    let mut owners = own.body["metadata"]["managedFields"].clone();
    for entry in owners.as_array_mut().into_iter().flatten() {
        if entry["manager"] == "kubectl-client-side-apply" {
            entry["manager"] = "kubectl".into();
            entry["operation"] = "Apply".into();
        }
    }
    owners
        .as_array_mut()
        .into_iter()
        .for_each(|list| list.dedup_by_key(|entry| format!("{}{}", entry["manager"], entry["operation"])));
    let patch = json!([{"op": "replace", "path": "/metadata/managedFields", "value": owners},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": own.body["metadata"]["resourceVersion"]}]);
    let moved = side
        .ask(
            Method::PATCH,
            &format!("{path}?fieldManager=kubectl"),
            JSON_PATCH,
            Some(&patch),
        )
        .await;
    transcript.note("moved", seen(&moved)["owners"].clone());
    let dropped = apply("kubectl", json!({"a": "2"})).await;
    transcript.note("a key is dropped", dropped.body["data"].clone());
    // An empty list forgets all owners.
    let reset = side
        .merge(&path, &json!({"metadata": {"managedFields": [{}]}}))
        .await;
    transcript.note("reset", seen(&reset)["owners"].clone());
    let later = side.merge(&path, &json!({"data": {"c": "1"}})).await;
    transcript.note("an update after it", seen(&later)["owners"].clone());
    let after = apply("flux", json!({"c": "2"})).await;
    transcript.note("an apply after it", data(&after));
    transcript
}

/// Options that are judged before the object.
async fn options(side: Side) -> Transcript {
    let mut transcript = Transcript::default();
    let maps = side.namespace("options").await;
    side.config_map(&maps, "m", json!({})).await;
    let long = "m".repeat(129);
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let copies: Value = (0..24)
        .map(|i| json!({"op": "copy", "from": "/data", "path": format!("/data/k{i}")}))
        .collect();
    side.merge(&format!("{maps}/m"), &json!({"data": {"a": "x".repeat(100)}}))
        .await;
    for (method, rest, media, body) in [
        (Method::PATCH, "/m".to_owned(), APPLY, &body),
        (Method::PATCH, format!("/m?fieldManager={long}"), APPLY, &body),
        (Method::PATCH, format!("/m?fieldManager={long}"), MERGE, &body),
        (Method::PATCH, "/m?force=true".to_owned(), MERGE, &body),
        (
            Method::POST,
            format!("?fieldManager={long}"),
            "application/json",
            &body,
        ),
        (
            Method::PUT,
            format!("/m?fieldManager={long}"),
            "application/json",
            &body,
        ),
        (Method::PATCH, "/m".to_owned(), JSON_PATCH, &copies),
        (
            Method::GET,
            "?watch=1&timeoutSeconds=18446744073709551615".to_owned(),
            "",
            &Value::Null,
        ),
        (
            Method::GET,
            "?limit=18446744073709551615".to_owned(),
            "",
            &Value::Null,
        ),
    ] {
        let body = (method != Method::GET).then_some(body);
        let answer = side
            .ask(method.clone(), &format!("{maps}{rest}"), media, body)
            .await;
        let shown = rest.replace(&long, "LONG");
        transcript.note(format!("{method} {shown} {media}"), answer.seen());
    }
    transcript
}
