//! The kube runtime against the server: watcher, reflector, Controller.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::fixture::{Fixture, widget, widget_resource};

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_follows_with_either_way_of_listing() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let f = Fixture::new().await;
        f.create(widget("a", json!({"size": 1}))).await.unwrap();
        let writer = reflector::store::Writer::new(widget_resource());
        let store = writer.as_reader();
        let events = watcher(f.widgets(), config)
            .default_backoff()
            .reflect(writer)
            .applied_objects();
        let follow = tokio::spawn(events.try_for_each(|_| async { Ok(()) }));
        tokio::time::timeout(Duration::from_secs(10), store.wait_until_ready())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(store.len(), 1);
        f.create(widget("b", json!({"size": 1}))).await.unwrap();
        f.widgets().delete("a", &DeleteParams::default()).await.unwrap();
        let names = || store.state().iter().map(|o| o.name_any()).collect::<Vec<_>>();
        for _ in 0..400 {
            if names() == ["b"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(names(), ["b"]);
        follow.abort();
    }
}

struct Context {
    client: Client,
    runs: AtomicUsize,
}

async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, kube::Error> {
    context.runs.fetch_add(1, Ordering::SeqCst);
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), "default", &widget_resource());
    let status = json!({"apiVersion": "example.dev/v1", "kind": "Widget",
        "status": {"phase": format!("size {}", object.data["spec"]["size"])}});
    let params = PatchParams::apply("sizer");
    api.patch_status(&object.name_any(), &params, &Patch::Apply(status))
        .await?;
    Ok(Action::await_change())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_settles() {
    let f = Fixture::new().await;
    let context = Arc::new(Context {
        client: f.client.clone(),
        runs: AtomicUsize::new(0),
    });
    let controller = Controller::new_with(f.widgets(), watcher::Config::default(), widget_resource())
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_millis(50)),
            context.clone(),
        )
        .for_each(|_| async {});
    let task = tokio::spawn(controller);
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let phase = |wanted: &'static str| {
        let api = f.widgets();
        async move {
            for _ in 0..400 {
                if api.get("a").await.unwrap().data["status"]["phase"] == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            panic!("no phase {wanted:?}");
        }
    };
    phase("size 1").await;
    f.widgets()
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"size": 4}})),
        )
        .await
        .unwrap();
    phase("size 4").await;
    // Applying the same status again changes nothing, so the controller does not wake itself for ever.
    assert!(
        context.runs.load(Ordering::SeqCst) <= 6,
        "{}",
        context.runs.load(Ordering::SeqCst)
    );
    task.abort();
}
