//! The controller: reads a ProviderMachine's snapshot live, decides, carries out one step, and is woken by its change.

mod effects;
mod read;
mod status;
mod wakes;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Client, Resource, ResourceExt as _};
use resources::bmc::{self, Job};
use resources::gantry::{Image, ProviderMachine, ProviderMachineState, Server};
use resources::keys;
use resources::tinkerbell::Workflow;
use telemetry::Events;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::installation::MACHINE_LABEL;
use crate::snapshot::Snapshot;
use crate::states::decide;
use crate::step::Step;
use wakes::Wakes;

/// Name of this driver in `spec.provider`.
const PROVIDER: &str = "metal";
/// Objects worked on at once.
const CONCURRENCY: u16 = 64;
/// After an error, before the next try.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(60);

/// Where installed machines find the appliance.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `tinkerbellIP`.
    pub appliance: Ipv4Addr,
    /// Port of the HTTP server.
    pub http_port: u16,
    /// Multiplies deadlines; 1 on real machines, more where machines are emulated.
    pub patience: u32,
}

/// The driver, ready to run.
#[derive(Clone)]
pub struct MetalDriver {
    client: Client,
    settings: Settings,
}

impl std::fmt::Debug for MetalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetalDriver")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl MetalDriver {
    /// On this API.
    #[must_use]
    pub const fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings }
    }

    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
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
        let Some(snapshot) = self.read(machine).await? else {
            return Ok(Action::await_change());
        };
        let now = Timestamp::now();
        match decide(&snapshot, now) {
            Step::Done => Ok(Action::await_change()),
            Step::Wait {
                reason,
                until,
                percent,
            } => {
                self.write_wait(&snapshot, reason, until, percent).await?;
                let rest = until
                    .map(|until| until.duration_since(now))
                    .and_then(|rest| Duration::try_from(rest).ok());
                Ok(Action::requeue(
                    rest.map_or(LOOK, |rest| rest.clamp(Duration::from_secs(1), LOOK)),
                ))
            }
            Step::Go { state, reason } => {
                tracing::info!(machine = %machine.name_any(), state = ?state, reason = %reason, "provider machine moves on");
                self.write_state(&snapshot, state, reason.clone(), now).await?;
                if state == ProviderMachineState::Failed {
                    self.alarm(&snapshot, &reason).await;
                }
                Ok(Action::requeue(Duration::ZERO))
            }
            Step::Do(effect) => {
                self.perform(&snapshot, effect, now).await?;
                Ok(Action::requeue(Duration::ZERO))
            }
        }
    }

    /// Shows on the machine and on the Hardware that it has, if it has one, that it failed for good.
    async fn alarm(&self, snapshot: &Snapshot, reason: &str) {
        let hardware = snapshot.claimed().map(|server| server.spec.hardware.as_str());
        let text = format!("Machine {}: {reason}", snapshot.machine.name_any());
        Events::new(self.client.clone(), keys::MANAGER_METAL)
            .warn_of_machine(
                &snapshot.machine,
                hardware.unwrap_or_default(),
                "MachineFailed",
                &text,
            )
            .await;
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
