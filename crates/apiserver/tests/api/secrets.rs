//! Built-in kinds: Secrets sealed on disk, ConfigMaps, Events under both groups, Leases.

use apiserver::{AesGcmSealer, ApiServer, SealError, Sealer};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::fixture::{Fixture, code, config};

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
    f.server.database().file().backup(&backup).await.unwrap();
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

fn secret(name: &str) -> Secret {
    serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"k": "fake-password"}})).unwrap()
}

/// Changes stored rows while no server runs.
async fn damage(f: Fixture, sql: &'static str) -> tempfile::TempDir {
    let Fixture { dir, server, client } = f;
    drop(client);
    server.close().await;
    let url = format!("sqlite://{}", dir.path().join("state.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query(sql).execute(&pool).await.unwrap();
    pool.close().await;
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_read_are_named_and_stop_nothing_else() {
    let f = Fixture::new().await;
    let secrets: Api<Secret> = Api::namespaced(f.client.clone(), "default");
    let params = PostParams::default();
    for name in ["a", "b", "c"] {
        secrets.create(&params, &secret(name)).await.unwrap();
    }
    let map = json!({"metadata": {"name": "m"}, "data": {"k": "v"}});
    let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), "default");
    maps.create(&params, &serde_json::from_value(map).unwrap())
        .await
        .unwrap();
    let other = json!({"metadata": {"name": "o"}});
    maps.create(&params, &serde_json::from_value(other).unwrap())
        .await
        .unwrap();
    let sql = "UPDATE objects SET json = CASE name
            WHEN 'a' THEN CAST(replace(CAST(json AS TEXT), 'sealed:v1:', 'sealed:v1:AAAA') AS BLOB)
            WHEN 'o' THEN CAST(replace(CAST(json AS TEXT), '\"name\":\"o\"', '\"name\":\"p\"') AS BLOB)
            ELSE x'7b22' END
        WHERE namespace = 'default' AND name IN ('a', 'm', 'o')";
    let dir = damage(f, sql).await;
    let server = ApiServer::open(config(dir.path())).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(server.client(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    assert!(secrets.get("b").await.is_ok());
    let names: Vec<_> = secrets
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .filter_map(|s| s.metadata.name)
        .collect();
    assert_eq!(names, ["b", "c"]);
    for error in [
        secrets.get("a").await.unwrap_err(),
        secrets.create(&params, &secret("a")).await.unwrap_err(),
        secrets
            .patch(
                "a",
                &PatchParams::apply("m"),
                &Patch::Apply(json!({"apiVersion": "v1", "kind": "Secret"})),
            )
            .await
            .unwrap_err(),
    ] {
        let kube::Error::Api(status) = error else {
            panic!("{error:?}")
        };
        assert_eq!(status.code, 500);
        assert!(
            status
                .message
                .starts_with("secrets \"a\" is stored but cannot be read"),
            "{}",
            status.message
        );
    }
    assert_eq!(code(maps.get("m").await), 500);
    assert_eq!(
        (code(maps.get("o").await), code(maps.get("p").await)),
        (500, 404),
        "its row has another one"
    );
    // What the message says: deleted, the name is free again, also after a start.
    secrets.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(secrets.get("a").await), 404);
    secrets.create(&params, &secret("a")).await.unwrap();
    server.close().await;
    let server = ApiServer::open(config(dir.path())).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(server.client(), "default");
    assert!(secrets.get("a").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_does_not_start_a_server_without_its_secrets() {
    let f = Fixture::new().await;
    let secrets: Api<Secret> = Api::namespaced(f.client.clone(), "default");
    for name in ["a", "b"] {
        secrets
            .create(&PostParams::default(), &secret(name))
            .await
            .unwrap();
    }
    let Fixture { dir, server, client } = f;
    drop(client);
    server.close().await;
    let mut other = config(dir.path());
    other.sealer = std::sync::Arc::new(AesGcmSealer::new(&[8; 32]));
    let error = ApiServer::open(other).await.map(drop).unwrap_err().to_string();
    assert!(
        error.contains("is it the key file of this data directory?"),
        "{error}"
    );
    assert!(ApiServer::open(config(dir.path())).await.is_ok());
}

/// Seals nothing.
#[derive(Debug)]
struct Broken;

impl Sealer for Broken {
    fn seal(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, SealError> {
        Err(SealError)
    }

    fn open(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, SealError> {
        Err(SealError)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_sealed_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut broken = config(dir.path());
    broken.sealer = std::sync::Arc::new(Broken);
    let server = ApiServer::open(broken).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(server.client(), "default");
    assert_eq!(
        code(secrets.create(&PostParams::default(), &secret("a")).await),
        500
    );
    assert_eq!(code(secrets.get("a").await), 404);
    server.close().await;
    assert!(ApiServer::open(config(dir.path())).await.is_ok());
}
