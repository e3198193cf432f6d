//! The controller: runs the state machine of each ProviderMachine when it or what belongs to it changes.

mod driver;
mod effects;
mod failures;
mod host_index;
mod listed;
mod machine;
mod provider_clusters;
mod read;
mod wakes;
mod watched;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::Receiver;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use resources::bmc::{self, Job};
use resources::gantry::{Image, ProviderMachine};
use resources::keys::METAL_PROVIDER;
use resources::tinkerbell::Workflow;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::installation::MACHINE_LABEL;
use driver::Driver;
use host_index::{HostIndex, Queues};
use machine::MetalMachine;
use wakes::Wakes;
use watched::{Watched, concerned};

pub use driver::{MetalDriver, Settings};

/// Objects worked on at once.
const CONCURRENCY: u16 = 64;
/// After an error, before the next try.
const AGAIN: Duration = Duration::from_secs(5);

impl MetalDriver {
    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { client, settings } = self;
        let (hosts, queues) = HostIndex::new(settings.cooldown);
        let hosts = Arc::new(hosts);
        let (gone, lost) = futures::channel::mpsc::unbounded();
        let machines = Watched::new(&client, move |machine: &ProviderMachine| {
            // Without a receiver the driver has stopped.
            let _ = gone.unbounded_send((machine.namespace().unwrap_or_default(), machine.name_any()));
        });
        let wakes = Wakes::new(machines.store.clone());
        let driver = Arc::new(Driver {
            client: client.clone(),
            settings,
            hosts: Arc::clone(&hosts),
            wakes: wakes.clone(),
        });
        let Queues {
            clusters,
            machines: woken,
        } = queues;
        let counts = provider_clusters::run(client.clone(), Arc::clone(&hosts), clusters, cancel.clone());
        let following = hosts.follow(&client, &wakes);
        let forgetting = lost.for_each(|(namespace, name)| {
            let hosts = Arc::clone(&hosts);
            async move { hosts.end_search(&namespace, &name).await }
        });
        let controllers = futures::future::join(counts, run_machines(driver, machines, woken, cancel));
        tokio::select! {
            () = following => {}
            () = forgetting => {}
            ((), ()) = controllers => {}
        }
    }
}

/// `woken` are those that hosts concern.
async fn run_machines(
    driver: Arc<Driver>,
    machines: Watched<ProviderMachine>,
    woken: Receiver<ObjectRef<ProviderMachine>>,
    cancel: CancellationToken,
) {
    let (client, wakes) = (&driver.client, &driver.wakes);
    let (on_images, on_bmcs) = (wakes.clone(), wakes.clone());
    let others = [
        woken.boxed(),
        concerned(client, labelled::<Workflow>).boxed(),
        concerned(client, labelled::<Job>).boxed(),
        concerned(client, move |bmc: &bmc::Machine| on_bmcs.of_bmc(bmc)).boxed(),
        concerned(client, move |image: &Image| on_images.of_image(image)).boxed(),
    ];
    let queue = futures::stream::select(machines.changes, futures::stream::select_all(others))
        .take_until(cancel.cancelled_owned())
        .map(Ok::<_, Infallible>);
    let reconcile = |machine: Arc<ProviderMachine>, driver: Arc<Driver>| {
        driver.wakes.note(&machine);
        async move { driver.reconcile(&machine).await }.boxed()
    };
    let config = Config::default().concurrency(CONCURRENCY);
    let failed = |machine: Arc<ProviderMachine>, error: &Error, _| failed(&machine, error);
    applier(reconcile, failed, driver, machines.store, queue, config)
        .for_each(|_| std::future::ready(()))
        .await;
}

impl Driver {
    async fn reconcile(&self, machine: &ProviderMachine) -> Result<Action, Error> {
        if machine.spec.provider != METAL_PROVIDER {
            return Ok(Action::await_change());
        }
        let machine = MetalMachine {
            driver: self,
            namespace: machine.namespace().unwrap_or_default(),
            name: machine.name_any(),
        };
        let rest = steps::run(&machine, Timestamp::now).await?;
        // One that does not take what it has found leaves it to others.
        let leaves = |seen: &machine::Seen| !seen.has_server() && seen.has_found();
        if rest.snapshot.as_ref().is_some_and(leaves) {
            self.hosts.end_search(&machine.namespace, &machine.name).await;
        }
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
