//! Keeps the statuses of ProviderClusters current: a change of a host wakes those who count it, and what they see is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compare_and_set::Outcome;
use futures::channel::mpsc::Receiver;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use resources::gantry::{ProviderCluster, ProviderClusterStatus};
use resources::keys::METAL_PROVIDER;
use tokio_util::sync::CancellationToken;

use super::effects::WRITER;
use super::host_index::HostIndex;
use super::watched::Watched;
use crate::error::Error;
use crate::hosts::Place;
use crate::provider_cluster::{is_urgent, status};

/// Objects worked on at once.
const CONCURRENCY: u16 = 16;
/// Between two statuses that differ in numbers alone. While thousands of machines are claimed or imported, they change all
/// the time for everybody.
const PAUSE: Duration = Duration::from_secs(2);
/// After an error or a lost race, before the next try.
const AGAIN: Duration = Duration::from_secs(1);

/// Counts hosts for ProviderClusters.
struct Counter {
    client: Client,
    hosts: Arc<HostIndex>,
    /// When the status of each was written last.
    written: Mutex<HashMap<Place, Timestamp>>,
}

/// Keeps the statuses current until cancelled. `woken` are those whose hosts have changed.
pub(super) async fn run(
    client: Client,
    hosts: Arc<HostIndex>,
    woken: Receiver<ObjectRef<ProviderCluster>>,
    cancel: CancellationToken,
) {
    let counter = Arc::new(Counter {
        client: client.clone(),
        hosts,
        written: Mutex::default(),
    });
    let forgetting = Arc::clone(&counter);
    let Watched { store, changes } = Watched::new(&client, move |object: &ProviderCluster| {
        forgetting.forget(object);
    });
    let queue = futures::stream::select(changes, woken)
        .take_until(cancel.cancelled_owned())
        .map(Ok::<_, std::convert::Infallible>);
    let reconcile = |object, counter: Arc<Counter>| async move { counter.reconcile(object).await }.boxed();
    let config = Config::default().concurrency(CONCURRENCY);
    applier(reconcile, failed, counter, store, queue, config)
        .for_each(|_| std::future::ready(()))
        .await;
}

fn failed(object: Arc<ProviderCluster>, error: &Error, _: Arc<Counter>) -> Action {
    let cluster = object.name_any();
    tracing::warn!(
        cluster,
        error = causes::line(error),
        "the status of a ProviderCluster was not written"
    );
    Action::requeue(AGAIN)
}

impl Counter {
    async fn reconcile(&self, object: Arc<ProviderCluster>) -> Result<Action, Error> {
        if object.spec.provider != METAL_PROVIDER || object.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let now = Timestamp::now();
        let place = (object.namespace().unwrap_or_default(), object.name_any());
        let hosts = self
            .hosts
            .count((&place.0, &place.1), &object.spec.pools, now)
            .await;
        let look = hosts.next.map(|next| until(next, now));
        let action = look.map_or_else(Action::await_change, Action::requeue);
        let before = object.status.as_ref();
        let after = status(&object, &hosts, now);
        if before == Some(&after) {
            return Ok(action);
        }
        let last = self.lock().get(&place).copied();
        let due = last
            .and_then(|last| last.checked_add(PAUSE).ok())
            .filter(|due| *due > now);
        if let Some(due) = due.filter(|_| !is_urgent(before, &after)) {
            let wait = until(due, now);
            return Ok(Action::requeue(look.map_or(wait, |look| look.min(wait))));
        }
        if !self.write(&object, &place.0, &after).await? {
            return Ok(Action::requeue(AGAIN));
        }
        self.lock().insert(place, now);
        Ok(action)
    }

    /// Tells whether the object still was as it was read.
    async fn write(
        &self,
        object: &ProviderCluster,
        namespace: &str,
        status: &ProviderClusterStatus,
    ) -> Result<bool, Error> {
        let api: Api<ProviderCluster> = Api::namespaced(self.client.clone(), namespace);
        Ok(!matches!(
            WRITER.status(&api, object, status).await?,
            Outcome::Lost
        ))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Timestamp>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, object: &ProviderCluster) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        self.hosts.forget(&namespace, &name);
        self.lock().remove(&(namespace, name));
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    // Beyond that moment, so that it has passed for sure.
    left.saturating_add(Duration::from_millis(100))
}
