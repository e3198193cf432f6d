//! Records as read-only kinds.

use apiserver::{ApiServer, RecordKind};
use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use store::records::{NewRecord, Records, Ring};

use crate::fixture::{code, config};

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_by_machine_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().join("records.db")).await.unwrap();
    let mut config = config(dir.path());
    let kind = RecordKind {
        kind: "BootEvent".into(),
        plural: "bootevents".into(),
        columns: vec![("Stage".into(), ".stage".into())],
    };
    config.records = Some((records.clone(), vec![kind]));
    let server = ApiServer::open(config).await.unwrap();
    let gvk = GroupVersionKind::gvk("records.gantry.dev", "v1alpha1", "BootEvent");
    let api: Api<DynamicObject> = Api::all_with(
        server.client(),
        &ApiResource::from_gvk_with_plural(&gvk, "bootevents"),
    );
    for (at, machine) in [(1, "m1"), (2, "m2"), (3, "m1")] {
        let payload = json!({"stage": format!("s{at}")});
        let record = NewRecord {
            kind: "BootEvent".into(),
            machine: machine.into(),
            ring: Ring::Machine,
            at,
            payload,
        };
        records.append(record).await.unwrap();
    }
    for params in [
        ListParams::default().labels("gantry.dev/machine=m1"),
        ListParams::default().fields("machine=m1"),
    ] {
        let found = api.list(&params).await.unwrap();
        let stages: Vec<_> = found
            .items
            .iter()
            .map(|o| o.data["data"]["stage"].clone())
            .collect();
        assert_eq!(stages, ["s1", "s3"]);
        assert_eq!(found.metadata.resource_version.as_deref(), Some("3"));
    }
    let one = api.get("r000000000002").await.unwrap();
    assert_eq!(one.data["machine"], "m2");
    assert_eq!(code(api.get("r000000000009").await), 404);
    assert_eq!(code(api.create(&PostParams::default(), &one).await), 405);
    let mut events = api.watch(&WatchParams::default(), "2").await.unwrap().boxed();
    let payload = json!({"stage": "s4"});
    records
        .append(NewRecord {
            kind: "BootEvent".into(),
            machine: "m1".into(),
            ring: Ring::Machine,
            at: 4,
            payload,
        })
        .await
        .unwrap();
    for expected in ["s3", "s4"] {
        let Some(WatchEvent::Added(o)) = events.try_next().await.unwrap() else {
            panic!("no event")
        };
        assert_eq!(o.data["data"]["stage"], expected);
    }
}
