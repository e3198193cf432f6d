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
async fn apply_needs_a_manager() {
    let f = Fixture::new().await;
    let params = PatchParams {
        field_manager: None,
        ..PatchParams::default()
    };
    let request = f
        .widgets()
        .patch("a", &params, &Patch::Apply(widget("a", json!({"size": 1}))))
        .await;
    assert_eq!(code(request), 400);
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
