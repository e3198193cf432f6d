//! The controller: runs the state machine of each Workflow when it or what belongs to it changes, and wakes agents that
//! wait for their turn.

mod effects;
mod jobs;
mod machine;
mod prepare;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use back_references::BackReferences;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use resources::bmc::Job;
use resources::gantry::Server;
use resources::tinkerbell::Workflow;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::action_log::LogWriter;
use crate::context::ControllerContext;
use crate::error::Error;

/// Objects worked on at once.
const CONCURRENCY: u16 = 64;
/// After an error, before the next try.
const AGAIN: Duration = Duration::from_secs(5);

/// The controller, ready to run.
pub struct WorkflowController {
    context: Arc<ControllerContext>,
    log: LogWriter,
}

impl std::fmt::Debug for WorkflowController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkflowController")
    }
}

impl WorkflowController {
    pub(crate) fn new(context: ControllerContext, log: LogWriter) -> Self {
        Self {
            context: Arc::new(context),
            log,
        }
    }

    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { context, log } = self;
        let client = context.client.clone();
        let wake = context.wake.clone();
        let everything = watcher::Config::default;
        let mut tasks = JoinSet::new();

        tasks.spawn(log.run(cancel.clone()));

        let workflows = Controller::new(Api::<Workflow>::all(client.clone()), everything());
        let (store, by_hardware) = (workflows.store(), BackReferences::default());
        let of_hardware = by_hardware.clone();
        let stop = cancel.clone();
        let reconcile = workflows
            .owns(Api::<Job>::all(client.clone()), everything())
            .watches(
                Api::<KnownServer>::all(client),
                everything(),
                move |server: KnownServer| {
                    let namespace = server.namespace().unwrap_or_default();
                    wake.wake(&namespace, &server.name_any());
                    let workflows = of_hardware.of(&store, &namespace, &server.spec.hardware);
                    let open = workflows.into_iter().filter(|workflow| !has_ended(workflow));
                    open.map(|workflow| ObjectRef::from_obj(&*workflow))
                },
            )
            .with_config(Config::default().concurrency(CONCURRENCY))
            .graceful_shutdown_on(async move { stop.cancelled().await })
            .run(
                move |workflow, context| {
                    let namespace = workflow.namespace().unwrap_or_default();
                    by_hardware.note(&*workflow, &namespace, workflow.spec.hardware_ref.as_deref());
                    machine::reconcile(workflow, context)
                },
                on_error,
                context,
            )
            .for_each(|_| std::future::ready(()));
        tasks.spawn(reconcile);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = %error, "workflow controller ended");
            }
        }
    }
}

/// A Server as far as it says whom it concerns.
#[derive(Debug, Clone, Deserialize, kube::Resource)]
#[resource(inherit = Server)]
struct KnownServer {
    metadata: ObjectMeta,
    spec: ServerHead,
}

#[derive(Debug, Clone, Deserialize)]
struct ServerHead {
    hardware: String,
}

fn has_ended(workflow: &Workflow) -> bool {
    let state = workflow.status.as_ref().and_then(|status| status.state);
    state.is_some_and(|state| state.is_terminal())
}

#[allow(clippy::needless_pass_by_value)]
fn on_error(workflow: Arc<Workflow>, error: &Error, _: Arc<ControllerContext>) -> Action {
    let source = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::warn!(workflow = %workflow.name_any(), error = %error, source, "reconciliation failed");
    Action::requeue(AGAIN)
}
