//! Owners that are not there: when that is proof that they are gone.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{eventually, gone};
use crate::fixture::{Fixture, widget};

async fn with_owners(f: &Fixture, name: &str, owners: &[Value]) {
    let mut object = widget(name, json!({"size": 1}));
    object["metadata"]["ownerReferences"] = json!(owners);
    f.create(object).await.unwrap();
}

fn reference(version: &str, kind: &str, uid: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "name": "owner", "uid": uid})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_gone_only_when_that_is_proven() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let unserved = reference("late.dev/v1", "Nope", "1");
    let absent = reference("example.dev/v1", "Widget", "2");
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    let lives = reference("example.dev/v1", "Widget", owner.metadata.uid.as_deref().unwrap());
    with_owners(&f, "unserved", std::slice::from_ref(&unserved)).await;
    with_owners(&f, "unserved-and-absent", &[unserved.clone(), absent.clone()]).await;
    with_owners(&f, "absent", std::slice::from_ref(&absent)).await;
    with_owners(&f, "absent-and-there", &[absent, lives]).await;
    let began = jiff::Timestamp::now();
    gone(&f, "absent").await;
    let took = jiff::Timestamp::now().duration_since(began);
    assert!(took.as_secs() >= 2, "an object of {took} was collected");
    eventually("the reference to the absent owner", || async {
        let owners = api
            .get("absent-and-there")
            .await
            .unwrap()
            .metadata
            .owner_references;
        (owners.unwrap().len() == 1).then_some(())
    })
    .await;
    for name in ["unserved", "unserved-and-absent"] {
        let object = api.get(name).await.unwrap();
        assert_eq!(object.metadata.deletion_timestamp, None, "{name}");
    }

    // Once the kind is served, the absence of its object is proof.
    let definition: CustomResourceDefinition =
        serde_json::from_value(json!({"metadata": {"name": "nopes.late.dev"},
        "spec": {"group": "late.dev", "scope": "Namespaced", "names": {"plural": "nopes", "kind": "Nope"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}}))
        .unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    definitions
        .create(&PostParams::default(), &definition)
        .await
        .unwrap();
    for name in ["unserved", "unserved-and-absent"] {
        gone(&f, name).await;
    }
    assert!(api.get_opt("owner").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_is_repeated() {
    use sqlx::{Connection, Executor, SqliteConnection};
    let f = Fixture::new().await;
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    with_owners(
        &f,
        "child",
        &[reference(
            "example.dev/v1",
            "Widget",
            owner.metadata.uid.as_deref().unwrap(),
        )],
    )
    .await;
    let path = format!("sqlite://{}", f.dir.path().join("state.db").display());
    let mut database = SqliteConnection::connect(&path).await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON objects WHEN old.name = 'child' \
                  BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    database.execute(refuse).await.unwrap();
    f.widgets()
        .delete("owner", &DeleteParams::default())
        .await
        .unwrap();
    // Changes of another object let the collector look, so that it has tried at least once.
    f.create(widget("other", json!({"size": 1}))).await.unwrap();
    for size in 2..50 {
        let patch = Patch::Merge(json!({"spec": {"size": size}}));
        f.widgets()
            .patch("other", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    assert!(f.widgets().get_opt("child").await.unwrap().is_some());
    database.execute("DROP TRIGGER refuse").await.unwrap();
    gone(&f, "child").await;
}
