//! Server-side apply through the API.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::fixture::{Fixture, code, widget};

async fn apply(f: &Fixture, manager: &str, spec: Value) -> kube::Result<DynamicObject> {
    f.widgets()
        .patch(
            "a",
            &PatchParams::apply(manager),
            &Patch::Apply(widget("a", spec)),
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_makes_merges_and_guards() {
    let f = Fixture::new().await;
    let made = apply(&f, "one", json!({"size": 1})).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 1, "colour": "red"}));
    let again = apply(&f, "one", json!({"size": 1})).await.unwrap();
    assert_eq!(again.metadata.resource_version, made.metadata.resource_version);
    let both = apply(&f, "two", json!({"parts": [{"name": "x", "count": 1}]}))
        .await
        .unwrap();
    assert_eq!(both.data["spec"]["size"], 1);
    let Err(kube::Error::Api(status)) = apply(&f, "two", json!({"size": 2})).await else {
        panic!("accepted")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let cause = &status.details.unwrap().causes[0];
    assert_eq!(
        (cause.field.as_str(), cause.message.as_str()),
        (".spec.size", "conflict with \"one\"")
    );
    let force = PatchParams::apply("two").force();
    let taken = f
        .widgets()
        .patch("a", &force, &Patch::Apply(widget("a", json!({"size": 2}))))
        .await
        .unwrap();
    assert_eq!(taken.data["spec"], json!({"size": 2, "colour": "red"}));
    let managers: Vec<_> = taken
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .filter_map(|m| m.manager)
        .collect();
    assert_eq!(managers, ["two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_applied_through_its_endpoint_alone() {
    let f = Fixture::new().await;
    apply(&f, "one", json!({"size": 1})).await.unwrap();
    let mut object = widget("a", json!({"size": 5}));
    object["status"] = json!({"phase": "Up", "conditions": [{"type": "Ready", "status": "True"}]});
    let params = PatchParams::apply("controller");
    let api = f.widgets();
    let up = api
        .patch_status("a", &params, &Patch::Apply(&object))
        .await
        .unwrap();
    assert_eq!(
        (&up.data["spec"]["size"], &up.data["status"]["phase"]),
        (&json!(1), &json!("Up"))
    );
    let other = json!({"apiVersion": "example.dev/v1", "kind": "Widget",
        "status": {"conditions": [{"type": "Healthy", "status": "True"}]}});
    let two = api
        .patch_status("a", &PatchParams::apply("other"), &Patch::Apply(&other))
        .await
        .unwrap();
    assert_eq!(two.data["status"]["conditions"].as_array().unwrap().len(), 2);
    let kept = apply(&f, "one", json!({"size": 2})).await.unwrap();
    assert_eq!(kept.data["status"]["phase"], "Up");
    let absent = api
        .patch_status("b", &params, &Patch::Apply(widget("b", json!({}))))
        .await;
    assert_eq!(code(absent), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_needs_a_manager_with_a_name() {
    let f = Fixture::new().await;
    for (manager, expected) in [
        (None, "fieldManager: Required value: is required for apply patch"),
        (
            Some("m".repeat(129)),
            "fieldManager: Too long: may not be more than 128 bytes",
        ),
    ] {
        let path = format!(
            "/apis/example.dev/v1/namespaces/default/widgets/a?{}",
            manager.map(|m| format!("fieldManager={m}")).unwrap_or_default()
        );
        let request = http::Request::patch(path).header("content-type", "application/apply-patch+yaml");
        let body = widget("a", json!({"size": 1})).to_string().into_bytes();
        let done = f.client.request::<Value>(request.body(body).unwrap()).await;
        let Err(kube::Error::Api(status)) = done else {
            panic!("accepted")
        };
        assert_eq!(status.code, 422);
        assert!(status.message.ends_with(expected), "{}", status.message);
    }
}

/// Somebody edits a list item of an applier, which then gives the item up.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_somebody_edited_can_be_given_up() {
    let f = Fixture::new().await;
    let parts = |parts: Value| json!({"size": 1, "parts": parts});
    let both = parts(json!([{"name": "x", "count": 1}, {"name": "z"}]));
    apply(&f, "flux", both).await.unwrap();
    let edit = PatchParams {
        field_manager: Some("kubectl-edit".into()),
        ..PatchParams::default()
    };
    let change = json!([{"op": "replace", "path": "/spec/parts/0/count", "value": 2}]);
    let change: json_patch::Patch = serde_json::from_value(change).unwrap();
    f.widgets()
        .patch("a", &edit, &Patch::Json::<()>(change))
        .await
        .unwrap();
    let left = apply(&f, "flux", parts(json!([{"name": "z"}]))).await.unwrap();
    assert_eq!(left.data["spec"]["parts"], json!([{"name": "z"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_seen_as_a_conflict_by_the_next_apply() {
    let f = Fixture::new().await;
    apply(&f, "one", json!({"size": 1})).await.unwrap();
    let edit = PatchParams {
        field_manager: Some("editor".into()),
        ..PatchParams::default()
    };
    f.widgets()
        .patch("a", &edit, &Patch::Merge(json!({"spec": {"size": 7}})))
        .await
        .unwrap();
    assert_eq!(code(apply(&f, "one", json!({"size": 1})).await), 409);
    // Giving the field up is no conflict, and leaves the editor's value.
    let object = apply(&f, "one", json!({})).await.unwrap();
    assert_eq!(object.data["spec"]["size"], 7);
}
