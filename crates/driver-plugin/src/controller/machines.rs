//! Runs the state machine of each ProviderMachine.

use std::sync::Arc;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt as _};
use resources::gantry::{ProviderDriver, ProviderMachine};
use resources::keys::METAL_PROVIDER;
use tokio_util::sync::CancellationToken;

use super::context::{AGAIN, Context};
use super::machine::PluginMachine;
use crate::error::Error;

/// Objects worked on at once. A call takes half a minute at most, and a silent driver holds its machines alone.
const CONCURRENCY: u16 = 64;

/// Runs until cancelled.
pub(super) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let client = context.client.clone();
    let config = watcher::Config::default;
    let controller = Controller::new(Api::<ProviderMachine>::all(client.clone()), config());
    let (of_driver, of_secret) = (controller.store(), controller.store());
    let wakes = context.wakes.clone();
    controller
        .watches(
            Api::<ProviderDriver>::all(client.clone()),
            config(),
            move |driver| {
                let name = driver.name_any();
                let machines = of_driver.state().into_iter();
                let its = machines.filter(move |machine| machine.spec.provider == name);
                its.map(|machine| ObjectRef::from_obj(&*machine))
                    .collect::<Vec<_>>()
            },
        )
        .watches(Api::<Secret>::all(client), config(), move |secret| {
            wakes.of_secret(&of_secret, &secret)
        })
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(reconcile, failed, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(machine: Arc<ProviderMachine>, context: Arc<Context>) -> Result<Action, Error> {
    if machine.spec.provider == METAL_PROVIDER {
        return Ok(Action::await_change());
    }
    let machine = PluginMachine {
        context: &context,
        namespace: machine.namespace().unwrap_or_default(),
        name: machine.name_any(),
    };
    let rest = steps::run(&machine, Timestamp::now).await?;
    Ok(rest.again.map_or_else(Action::await_change, Action::requeue))
}

fn failed(machine: Arc<ProviderMachine>, error: &Error, _: Arc<Context>) -> Action {
    let name = machine.meta().name.clone().unwrap_or_default();
    tracing::warn!(
        machine = name,
        error = causes::line(error),
        "reconciliation failed"
    );
    Action::requeue(AGAIN)
}
