//! The controller: runs the state machine of each ProviderMachine when it or what belongs to it changes.

mod driver;
mod effects;
mod failures;
mod listed;
mod machine;
mod provider_clusters;
mod read;
mod status;
mod wakes;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Resource, ResourceExt as _};
use resources::bmc::{self, Job};
use resources::gantry::{Image, ProviderMachine, Server};
use resources::tinkerbell::Workflow;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::installation::MACHINE_LABEL;
use driver::PROVIDER;
use machine::MetalMachine;
use wakes::Wakes;

pub use driver::{MetalDriver, Settings};

/// Objects worked on at once.
const CONCURRENCY: u16 = 64;
/// After an error, before the next try.
const AGAIN: Duration = Duration::from_secs(5);

impl MetalDriver {
    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let settings = self.settings.clone();
        let counts = provider_clusters::run(self.client.clone(), &settings, cancel.clone());
        futures::future::join(counts, self.run_machines(cancel)).await;
    }

    async fn run_machines(self, cancel: CancellationToken) {
        let client = self.client.clone();
        let everything = watcher::Config::default;
        let controller = Controller::new(Api::<ProviderMachine>::all(client.clone()), everything());
        let wakes = Wakes::new(controller.store());
        let (on_servers, on_images, on_bmcs) = (wakes.clone(), wakes.clone(), wakes.clone());
        let stop = async move { cancel.cancelled().await };
        controller
            .with_config(Config::default().concurrency(CONCURRENCY))
            .watches(
                Api::<Server>::all(client.clone()),
                everything(),
                move |server: Server| on_servers.of_server(&server),
            )
            .watches(Api::<Workflow>::all(client.clone()), everything(), |workflow| {
                labelled(&workflow)
            })
            .watches(Api::<Job>::all(client.clone()), everything(), |job| {
                labelled(&job)
            })
            .watches(
                Api::<bmc::Machine>::all(client.clone()),
                everything(),
                move |bmc: bmc::Machine| on_bmcs.of_bmc(&bmc),
            )
            .watches(Api::<Image>::all(client), everything(), move |image: Image| {
                on_images.of_image(&image)
            })
            .graceful_shutdown_on(stop)
            .run(
                move |machine, driver: Arc<Self>| {
                    wakes.note(&machine);
                    async move { driver.reconcile(&machine).await }
                },
                |machine, error, _| failed(machine.as_ref(), error),
                Arc::new(self),
            )
            .for_each(|_| std::future::ready(()))
            .await;
    }

    async fn reconcile(&self, machine: &ProviderMachine) -> Result<Action, Error> {
        if machine.spec.provider != PROVIDER {
            return Ok(Action::await_change());
        }
        let machine = MetalMachine {
            driver: self,
            namespace: machine.namespace().unwrap_or_default(),
            name: machine.name_any(),
        };
        let rest = steps::run(&machine, Timestamp::now).await?;
        Ok(rest.again.map_or_else(Action::await_change, Action::requeue))
    }
}

fn labelled<K: Resource>(object: &K) -> Option<ObjectRef<ProviderMachine>> {
    let name = object.labels().get(MACHINE_LABEL)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

fn failed(machine: &ProviderMachine, error: &Error) -> Action {
    tracing::warn!(machine = %machine.name_any(), error = causes::line(error), "reconciliation failed");
    Action::requeue(AGAIN)
}
