//! Built-in kinds: Secrets sealed on disk, ConfigMaps, Events under both groups, Leases.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::fixture::{Fixture, code};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_plain_on_disk() {
    let f = Fixture::new().await;
    let secrets: Api<Secret> = Api::namespaced(f.client.clone(), "default");
    let object = json!({"metadata": {"name": "s", "annotations":
            {"kubectl.kubernetes.io/last-applied-configuration": "canary-0f1e2d annotation"}},
        "stringData": {"password": "canary-0f1e2d text"}, "data": {"other": "Y2FuYXJ5LTBmMWUyZA=="}});
    let made = secrets
        .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
        .await
        .unwrap();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    assert_eq!(made.data.as_ref().unwrap()["password"].0, b"canary-0f1e2d text");
    assert_eq!(made.string_data, None);
    let backup = f.dir.path().join("backup.db");
    f.server.database().backup(&backup).await.unwrap();
    for entry in std::fs::read_dir(f.dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for canary in ["canary-0f1e2d", "Y2FuYXJ5LTBmMWUyZ"] {
            assert!(
                !bytes.windows(canary.len()).any(|w| w == canary.as_bytes()),
                "a secret is on disk"
            );
        }
    }
    let f = f.reopen().await;
    let secrets: Api<Secret> = Api::namespaced(f.client.clone(), "default");
    assert_eq!(secrets.get("s").await.unwrap(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn strategic_patches_reach_built_in_kinds() {
    let f = Fixture::new().await;
    let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), "default");
    let map =
        serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"a": "1", "b": "2"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let patch = Patch::Strategic(json!({"data": {"a": null, "c": "3"}}));
    let done = maps.patch("m", &PatchParams::default(), &patch).await.unwrap();
    let keys: Vec<String> = done.data.unwrap().into_keys().collect();
    assert_eq!(keys, ["b", "c"]);
    assert_eq!(
        code(
            f.widgets()
                .patch("w", &PatchParams::default(), &Patch::Strategic(json!({})))
                .await
        ),
        415
    );
    let lock = Patch::Merge(json!({"immutable": true}));
    maps.patch("m", &PatchParams::default(), &lock).await.unwrap();
    let change = Patch::Merge(json!({"data": {"b": "x"}}));
    assert_eq!(code(maps.patch("m", &PatchParams::default(), &change).await), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_one_kind_in_two_groups() {
    let f = Fixture::new().await;
    let reporter = kube::runtime::events::Reporter {
        controller: "test".into(),
        instance: None,
    };
    let recorder = kube::runtime::events::Recorder::new(f.client.clone(), reporter);
    let about = k8s_openapi::api::core::v1::ObjectReference {
        kind: Some("Widget".into()),
        name: Some("w".into()),
        namespace: Some("default".into()),
        uid: Some("u".into()),
        ..Default::default()
    };
    let event = kube::runtime::events::Event {
        type_: kube::runtime::events::EventType::Normal,
        reason: "Tested".into(),
        note: Some("a note".into()),
        action: "Test".into(),
        secondary: None,
    };
    recorder.publish(&event, &about).await.unwrap();
    recorder.publish(&event, &about).await.unwrap();
    let core: Api<Event> = Api::namespaced(f.client.clone(), "default");
    let select = ListParams::default().fields("involvedObject.name=w,involvedObject.kind=Widget");
    let found = core.list(&select).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].message.as_deref(), found[0].reason.as_deref()),
        (Some("a note"), Some("Tested"))
    );
    let new: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(f.client.clone(), "default");
    let found = new
        .list(&ListParams::default().fields("regarding.name=w"))
        .await
        .unwrap()
        .items;
    assert_eq!(found[0].note.as_deref(), Some("a note"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_changes_hands_by_compare_and_set() {
    let f = Fixture::new().await;
    let leases: Api<Lease> = Api::namespaced(f.client.clone(), "default");
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15,
        "renewTime": "2026-01-01T00:00:00.000000Z"}});
    let made = leases
        .create(&PostParams::default(), &serde_json::from_value(lease).unwrap())
        .await
        .unwrap();
    let mut taken = made.clone();
    taken.spec.as_mut().unwrap().holder_identity = Some("b".into());
    leases.replace("l", &PostParams::default(), &taken).await.unwrap();
    assert_eq!(
        code(leases.replace("l", &PostParams::default(), &made).await),
        409
    );
}
