//! Which clusters are driven on, and when: those that have changed, those that something of theirs wakes, and each again after
//! its pause.

use std::convert::Infallible;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use kube::ResourceExt as _;
use kube::api::Api;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt as _, watcher};
use resources::anywhere::Cluster;
use resources::keys;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::coordinator::{Coordinator, SOON, WAKES};
use crate::error::Error;

/// Clusters that are driven on side by side.
const CONCURRENCY: u16 = 64;

/// Coordinates every Cluster until cancelled.
pub async fn run_coordinator(coordinator: Coordinator, cancel: CancellationToken) {
    let client = coordinator.client.clone();
    let (wakes, woken) = mpsc::channel(WAKES);
    let watching = Arc::clone(&coordinator.views).follow(client.clone(), wakes);
    let coordinator = Arc::new(coordinator);
    let ending = Arc::clone(&coordinator);
    let (reader, writer) = reflector::store();
    // The views have the Clusters themselves; the queue needs to know only which there are.
    let clusters = watcher(Api::<Named>::all(client), watcher::Config::default())
        .default_backoff()
        .modify(keep_name);
    let clusters = reflector::reflector(writer, clusters)
        .touched_objects()
        .filter_map(|cluster| std::future::ready(cluster.ok()))
        .map(|cluster| ObjectRef::from_obj(&cluster));
    let woken = ReceiverStream::new(woken).map(|(namespace, name)| ObjectRef::new(&name).within(&namespace));
    let queue = futures::stream::select(clusters, woken)
        .take_until(cancel.clone().cancelled_owned())
        .map(Ok::<_, Infallible>);
    let config = Config::default().concurrency(CONCURRENCY);
    let run = |cluster, coordinator| reconcile(cluster, coordinator).boxed();
    let controller =
        applier(run, failed, coordinator, reader, queue, config).for_each(|_| std::future::ready(()));
    tokio::select! {
        () = watching => {}
        () = controller => {}
    }
    ending.end().await;
}

/// A Cluster as the queue knows it.
type Named = PartialObjectMeta<Cluster>;

fn keep_name(cluster: &mut Named) {
    cluster.metadata = ObjectMeta {
        name: cluster.metadata.name.take(),
        namespace: cluster.metadata.namespace.take(),
        uid: cluster.metadata.uid.take(),
        resource_version: cluster.metadata.resource_version.take(),
        ..ObjectMeta::default()
    };
}

async fn reconcile(cluster: Arc<Named>, coordinator: Arc<Coordinator>) -> Result<Action, Error> {
    let namespace = cluster
        .namespace()
        .unwrap_or_else(|| keys::DEFAULT_NAMESPACE.to_owned());
    let pause = coordinator.reconcile(&namespace, &cluster.name_any()).await?;
    Ok(Action::requeue(pause))
}

fn failed(cluster: Arc<Named>, error: &Error, _: Arc<Coordinator>) -> Action {
    tracing::warn!(cluster = %cluster.name_any(), error = causes::line(error), "a cluster could not be driven on");
    Action::requeue(SOON)
}
