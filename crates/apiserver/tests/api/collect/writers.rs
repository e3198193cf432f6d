//! Deletions while others write the same objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use serde_json::json;
use tokio::task::JoinSet;

use super::{eventually, gone, owned};
use crate::fixture::{Fixture, widget};

/// Writes an annotation again and again until told to stop or until the object is gone.
async fn write<K>(api: Api<K>, name: String, stop: Arc<AtomicBool>)
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    for turn in 0_u64.. {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"turn": turn.to_string()}}}));
        let written = api.patch(&name, &PatchParams::default(), &patch).await;
        if stop.load(Ordering::Relaxed) || written.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_stay_though_they_are_being_written() {
    let f = Fixture::new().await;
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    for i in 0..18 {
        owned(&f, &format!("child-{i}"), &owner, i % 2 == 0).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for i in 0..9 {
        writers.spawn(write(f.widgets(), format!("child-{i}"), stop.clone()));
    }
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    f.widgets().delete("owner", &orphan).await.unwrap();
    gone(&f, "owner").await;
    stop.store(true, Ordering::Relaxed);
    while writers.join_next().await.is_some() {}
    let left = f.widgets().list(&ListParams::default()).await.unwrap().items;
    let free = left
        .iter()
        .filter(|object| object.metadata.owner_references.is_none());
    assert_eq!((left.len(), free.count()), (18, 18));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_though_its_object_is_being_written() {
    let f = Fixture::new().await;
    let namespaces: Api<Namespace> = Api::all(f.client.clone());
    for round in 0..8 {
        let name = format!("rack-{round}");
        let made = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces.create(&PostParams::default(), &made).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), &name);
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "busy"}})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for _ in 0..3 {
            writers.spawn(write(maps.clone(), "busy".to_owned(), stop.clone()));
        }
        namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
        eventually(&format!("deletion of {name}"), || async {
            namespaces.get_opt(&name).await.unwrap().is_none().then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        while writers.join_next().await.is_some() {}
    }
}
