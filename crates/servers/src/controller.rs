//! The controllers: one derives Servers from Hardware, one moves each Server on.
//!
//! A reconciliation reads the objects live and decides by pure functions: the upkeep of the session first, then the
//! steps of the state, which `steps::run` carries out. The status is committed by compare-and-set before each effect.

mod around;
mod effects;
mod hardware;
mod known;
mod marks;
mod server;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use back_references::BackReferences;
use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Resource, ResourceExt as _};
use resources::bmc;
use resources::tinkerbell::Workflow;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::Error;
use hardware::Derivation;
use known::{KnownHardware, KnownServer};
use marks::Marks;

/// Objects worked on at once.
const CONCURRENCY: u16 = 64;
/// After an error, before the next try.
const AGAIN: Duration = Duration::from_secs(5);

/// The controllers, ready to run.
pub struct ServersController {
    context: Arc<Context>,
    servers: Controller<KnownServer>,
    /// Which BMC a Server has.
    bmcs: BackReferences,
}

impl std::fmt::Debug for ServersController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServersController")
    }
}

impl ServersController {
    pub(crate) fn new(context: Context) -> Self {
        let client = context.client.0.clone();
        let everything = watcher::Config::default;
        let servers = Controller::new(Api::<KnownServer>::all(client.clone()), everything());
        let (store, bmcs) = (servers.store(), BackReferences::default());
        let of_bmcs = bmcs.clone();
        let servers = servers
            .watches(
                Api::<KnownHardware>::all(client.clone()),
                everything(),
                |hardware| same_name(&hardware),
            )
            .watches(
                Api::<Workflow>::all(client.clone()),
                everything(),
                |workflow: Workflow| {
                    let namespace = workflow.namespace().unwrap_or_default();
                    workflow
                        .spec
                        .hardware_ref
                        .map(|name| ObjectRef::new(&name).within(&namespace))
                },
            )
            .watches(
                Api::<bmc::Machine>::all(client),
                everything(),
                move |machine: bmc::Machine| {
                    let namespace = machine.namespace().unwrap_or_default();
                    let servers = of_bmcs.of(&store, &namespace, &machine.name_any());
                    servers.into_iter().map(|server| ObjectRef::from_obj(&*server))
                },
            );
        Self {
            context: Arc::new(context),
            servers,
            bmcs,
        }
    }

    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut tasks = JoinSet::new();
        let Self {
            context,
            servers,
            bmcs,
        } = self;
        let client = context.client.0.clone();
        let (marks, changes) = Marks::follow(&client);
        let hardware = Api::<KnownHardware>::all(client.clone());
        let derive = Controller::new(hardware, watcher::Config::default())
            .with_config(Config::default().concurrency(CONCURRENCY))
            .graceful_shutdown_on(stop(&cancel))
            .run(
                hardware::reconcile,
                |hardware, error, _| failed(&*hardware, error),
                Arc::new(Derivation { client, marks }),
            )
            .for_each(|_| std::future::ready(()));
        let derive = async move {
            tokio::select! {
                () = changes => {}
                () = derive => {}
            }
        };
        let advance = servers
            .with_config(Config::default().concurrency(CONCURRENCY))
            .graceful_shutdown_on(stop(&cancel))
            .run(
                move |server, context| {
                    let namespace = server.namespace().unwrap_or_default();
                    bmcs.note(&*server, &namespace, server.spec.bmc.as_deref());
                    server::reconcile(server, context)
                },
                |server, error, _| failed(&*server, error),
                context,
            )
            .for_each(|_| std::future::ready(()));
        tasks.spawn(derive);
        tasks.spawn(advance);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = %error, "server controller ended");
            }
        }
    }
}

fn stop(cancel: &CancellationToken) -> impl Future<Output = ()> + Send + Sync + use<> {
    let cancel = cancel.clone();
    async move { cancel.cancelled().await }
}

fn failed<K: Resource>(object: &K, error: &Error) -> Action {
    tracing::warn!(machine = %object.name_any(), error = causes::line(error), "reconciliation failed");
    Action::requeue(AGAIN)
}

fn same_name(hardware: &KnownHardware) -> Option<ObjectRef<KnownServer>> {
    let namespace = hardware.namespace()?;
    Some(ObjectRef::new(&hardware.name_any()).within(&namespace))
}
