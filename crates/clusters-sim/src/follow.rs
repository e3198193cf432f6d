//! The site acts by itself as objects change, on the same runtime as real controllers. It keeps only the metadata of objects,
//! and reads the rest when it acts, so that a benchmark measures the memory of others.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use resources::gantry::{Image, ProviderCluster, ProviderMachine};
use resources::keys;
use tokio_util::sync::CancellationToken;

use crate::site::Site;

/// Machines that are acted on side by side.
const CONCURRENCY: u16 = 64;

impl Site {
    /// Acts on images, ProviderClusters and machines until cancelled.
    pub async fn follow(&self, cancel: CancellationToken) {
        tokio::join!(
            self.follow_images(cancel.clone()),
            self.follow_provider_clusters(cancel.clone()),
            self.follow_machines(cancel)
        );
    }

    async fn follow_images(&self, cancel: CancellationToken) {
        let act = async |image: Arc<Image>, site: Arc<Self>| {
            site.react_image(&image).await;
            Ok::<_, Infallible>(Action::await_change())
        };
        Controller::new(self.api::<Image>(), watcher::Config::default())
            .graceful_shutdown_on(cancel.cancelled_owned())
            .run(act, |_, _, _| Action::await_change(), Arc::new(self.clone()))
            .for_each(|_| std::future::ready(()))
            .await;
    }

    async fn follow_provider_clusters(&self, cancel: CancellationToken) {
        let act = async |object: Arc<PartialObjectMeta<ProviderCluster>>, site: Arc<Self>| {
            let object = site.api::<ProviderCluster>().get_opt(&object.name_any()).await;
            if let Some(object) = object.unwrap() {
                site.react_provider_cluster(&object).await;
            }
            Ok::<_, Infallible>(Action::await_change())
        };
        Controller::new(
            self.api::<PartialObjectMeta<ProviderCluster>>(),
            watcher::Config::default(),
        )
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(act, |_, _, _| Action::await_change(), Arc::new(self.clone()))
        .for_each(|_| std::future::ready(()))
        .await;
    }

    /// A machine is acted on when it or its bootstrap data changes.
    async fn follow_machines(&self, cancel: CancellationToken) {
        let act = async |machine: Arc<PartialObjectMeta<ProviderMachine>>, site: Arc<Self>| {
            let machine = site.api::<ProviderMachine>().get_opt(&machine.name_any()).await;
            if let Some(machine) = machine.unwrap() {
                site.react_machine(&machine).await;
            }
            Ok::<_, Infallible>(Action::await_change())
        };
        let namespace = self.namespace;
        let secrets = watcher::Config::default().labels(keys::CLUSTER_NAME);
        let of_machine = move |secret: PartialObjectMeta<KubeSecret>| {
            let name = secret.name_any();
            let machine = name.strip_suffix("-bootstrap")?;
            Some(ObjectRef::new(machine).within(namespace))
        };
        Controller::new(
            self.api::<PartialObjectMeta<ProviderMachine>>(),
            watcher::Config::default(),
        )
        .watches(self.api::<PartialObjectMeta<KubeSecret>>(), secrets, of_machine)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(act, |_, _, _| Action::await_change(), Arc::new(self.clone()))
        .for_each(|_| std::future::ready(()))
        .await;
    }
}
