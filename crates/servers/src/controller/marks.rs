//! The mark of a restore that Namespaces carry, kept by a watch: an import makes thousands of Servers, and each begins
//! with it.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use resources::keys;
use serde_json::Value;

use crate::error::Error;

type Metadata = PartialObjectMeta<Namespace>;

/// What Namespaces say of a restore.
pub(super) struct Marks {
    namespaces: Api<Metadata>,
    known: Store<Metadata>,
}

impl Marks {
    /// The marks, and what keeps them as long as it is polled.
    pub(super) fn follow(client: &Client) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let namespaces = Api::all(client.clone());
        let (known, writer) = reflector::store();
        let events = watcher(namespaces.clone(), watcher::Config::default());
        let changes = reflector::reflector(writer, events.default_backoff()).for_each(|event| {
            if let Err(error) = event {
                tracing::warn!(
                    kind = "Namespace",
                    error = causes::line(&error),
                    "a watch was interrupted"
                );
            }
            std::future::ready(())
        });
        (Self { namespaces, known }, changes)
    }

    /// The mark of a Namespace: its Hardware may have been imported, and taken, after the backup. It is set while no
    /// appliance runs, so that what the watch has shown once is not older than the mark. A Namespace that the watch has
    /// not shown yet is read.
    pub(super) async fn of(&self, namespace: &str) -> Result<Option<Value>, Error> {
        let mark = match self.known.get(&ObjectRef::new(namespace)) {
            Some(known) => known
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(keys::RESTORED).cloned()),
            None => {
                let found = self.namespaces.get_opt(namespace).await;
                let found = found.map_err(|source| Error::Read {
                    kind: "Namespace",
                    name: namespace.to_owned(),
                    source,
                })?;
                found.and_then(|found| found.metadata.annotations?.remove(keys::RESTORED))
            }
        };
        Ok(mark.and_then(|mark| serde_json::from_str(&mark).ok()))
    }
}
