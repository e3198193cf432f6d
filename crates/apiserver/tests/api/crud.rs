//! create, get, list, update, patch, status, generation, concurrency, dry run, field validation.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::json;

use crate::fixture::{Fixture, code, widget};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_lives_from_create_to_delete() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let made = f.create(widget("a", json!({"size": 1}))).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 1, "colour": "red"}));
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    assert_eq!(code(f.create(widget("a", json!({"size": 1}))).await), 409);
    assert_eq!(api.get("a").await.unwrap(), made);
    assert_eq!(code(api.get("b").await), 404);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(api.get("a").await), 404);
    assert_eq!(code(api.delete("a", &DeleteParams::default()).await), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn generation_counts_spec_and_status_stands_apart() {
    let f = Fixture::new().await;
    let api = f.widgets();
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let merge = |patch: serde_json::Value| Patch::Merge(patch);
    let pp = PatchParams::default();
    let labelled = api
        .patch("a", &pp, &merge(json!({"metadata": {"labels": {"x": "y"}}})))
        .await
        .unwrap();
    assert_eq!(labelled.metadata.generation, Some(1));
    let grown = api
        .patch(
            "a",
            &pp,
            &merge(json!({"spec": {"size": 2}, "status": {"phase": "no"}})),
        )
        .await
        .unwrap();
    assert_eq!(grown.metadata.generation, Some(2));
    assert_eq!(grown.data.get("status"), None);
    let status =
        json!({"spec": {"size": 9}, "status": {"phase": "Ready"}, "metadata": {"labels": {"x": "z"}}});
    let ready = api.patch_status("a", &pp, &merge(status)).await.unwrap();
    assert_eq!(ready.metadata.generation, Some(2));
    assert_eq!(
        (&ready.data["spec"]["size"], &ready.data["status"]["phase"]),
        (&json!(2), &json!("Ready"))
    );
    assert_eq!(ready.metadata.labels.unwrap()["x"], "y");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_changes_nothing_is_none() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let made = f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let same = api
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"size": 1}})),
        )
        .await
        .unwrap();
    assert_eq!(made.metadata.resource_version, same.metadata.resource_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_version_is_a_conflict() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let mut first = f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let stale = first.clone();
    first.data["spec"]["size"] = json!(2);
    let second = api.replace("a", &PostParams::default(), &first).await.unwrap();
    assert_eq!(second.data["spec"]["size"], json!(2));
    assert_eq!(code(api.replace("a", &PostParams::default(), &stale).await), 409);
    let mut blind = second.clone();
    blind.metadata.resource_version = None;
    assert_eq!(code(api.replace("a", &PostParams::default(), &blind).await), 422);
    let version = stale.metadata.resource_version.unwrap();
    let test: json_patch::Patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/size", "value": 3}
    ]))
    .unwrap();
    assert_eq!(
        code(
            api.patch("a", &PatchParams::default(), &Patch::Json::<()>(test))
                .await
        ),
        422
    );
    let old = json!({"metadata": {"resourceVersion": version}, "spec": {"size": 3}});
    assert_eq!(
        code(api.patch("a", &PatchParams::default(), &Patch::Merge(old)).await),
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_all_count() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let patches = (0..40).map(|i| {
        let api = f.widgets();
        async move {
            let patch = json!({"metadata": {"annotations": {format!("n{i}"): "1"}}});
            api.patch("a", &PatchParams::default(), &Patch::Merge(patch))
                .await
        }
    });
    for result in futures::future::join_all(patches).await {
        result.unwrap();
    }
    let object = f.widgets().get("a").await.unwrap();
    assert_eq!(object.metadata.annotations.unwrap().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_objects_name_every_fault() {
    let f = Fixture::new().await;
    let bad = widget(
        "Bad",
        json!({"size": 0, "colour": "pink", "parts": [{"name": "x"}, {"name": "x"}, {}]}),
    );
    let Err(kube::Error::Api(status)) = f.create(bad).await else {
        panic!("accepted")
    };
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    let mut fields: Vec<String> = status
        .details
        .unwrap()
        .causes
        .into_iter()
        .map(|c| c.field)
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "metadata.name",
            "spec.colour",
            "spec.parts[1]",
            "spec.parts[2].name",
            "spec.size"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_pruned_or_refused() {
    let f = Fixture::new().await;
    let made = f
        .create(widget("a", json!({"size": 1, "sise": 2})))
        .await
        .unwrap();
    assert_eq!(made.data["spec"].get("sise"), None);
    let strict = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("t")
    };
    let patch = Patch::Apply(widget("a", json!({"sise": 2})));
    let Err(kube::Error::Api(status)) = f.widgets().patch("a", &strict, &patch).await else {
        panic!("accepted")
    };
    assert_eq!(status.code, 400);
    assert!(
        status.message.contains("unknown field \"spec.sise\""),
        "{}",
        status.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_nothing() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let object = serde_json::from_value(widget("a", json!({"size": 1}))).unwrap();
    let made = api.create(&dry, &object).await.unwrap();
    assert_eq!(made.data["spec"]["colour"], "red");
    assert_eq!(code(api.get("a").await), 404);
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let gone = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    api.delete("a", &gone).await.unwrap();
    api.get("a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_select_and_page() {
    let f = Fixture::new().await;
    let api = f.widgets();
    for i in 0..10 {
        let mut object = widget(&format!("w{i}"), json!({"size": 1}));
        object["metadata"]["labels"] = json!({"even": (i % 2 == 0).to_string()});
        f.create(object).await.unwrap();
    }
    let even = api
        .list(&ListParams::default().labels("even=true"))
        .await
        .unwrap();
    assert_eq!(even.items.len(), 5);
    let one = api
        .list(&ListParams::default().fields("metadata.name=w3"))
        .await
        .unwrap();
    assert_eq!(one.items.len(), 1);
    assert_eq!(
        code(api.list(&ListParams::default().fields("spec.size=1")).await),
        400
    );
    let (mut params, mut names) = (ListParams::default().limit(4), Vec::new());
    let mut remaining = Vec::new();
    loop {
        let page = api.list(&params).await.unwrap();
        assert!(page.items.len() <= 4);
        remaining.push(page.metadata.remaining_item_count);
        names.extend(page.items.into_iter().filter_map(|w| w.metadata.name));
        match page.metadata.continue_.filter(|t| !t.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(names, (0..10).map(|i| format!("w{i}")).collect::<Vec<_>>());
    assert_eq!(remaining, [Some(6), Some(2), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_names_and_unknown_namespaces() {
    let f = Fixture::new().await;
    let mut object = widget("", json!({"size": 1}));
    object["metadata"] = json!({"generateName": "gen-"});
    let made = f.create(object).await.unwrap();
    let name = made.metadata.name.unwrap();
    assert!(name.starts_with("gen-") && name.len() == 9, "{name}");
    let elsewhere: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(f.client.clone(), "nowhere", &crate::fixture::widget_resource());
    let object = serde_json::from_value(widget("a", json!({"size": 1}))).unwrap();
    assert_eq!(code(elsewhere.create(&PostParams::default(), &object).await), 404);
}
