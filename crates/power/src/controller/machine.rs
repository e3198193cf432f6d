//! Machine: asks each BMC for its power state, at an interval and when woken.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::controller::{Action, Config};
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt as _};
use resources::bmc::Machine;
use resources::keys::POLL_REQUESTED;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::retry::on_error;
use crate::Error;
use crate::alarms::bmc_unreachable;
use crate::connect::{NoLink, explained, open};
use crate::engine::contact::{Said, changed, lost, next_poll};
use crate::engine::inventory::{is_due, kept};
use crate::status::{keep_inventory, observe};

/// When to look again whether a BMC that a Task speaks with is free.
const BUSY: Duration = Duration::from_secs(1);

pub(super) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let machines: Api<Machine> = Api::all(context.client.clone());
    Controller::new(machines, watcher::Config::default())
        .with_config(Config::default().concurrency(context.options.concurrency))
        .graceful_shutdown_on(async move { cancel.cancelled().await })
        .run(reconcile, on_error, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(machine: Arc<Machine>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = machine.uid().unwrap_or_default();
    if machine.metadata.deletion_timestamp.is_some() {
        context
            .polled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&uid);
        return Ok(Action::await_change());
    }
    let wish = machine.annotations().get(POLL_REQUESTED);
    let granted = context
        .polled
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&uid)
        .cloned();
    let last = machine
        .status
        .as_ref()
        .and_then(|status| status.last_polled.as_ref())
        .map(|time| time.0);
    let woken = wish.is_some() && wish != granted.as_ref();
    let wait = next_poll(last, context.options.poll, woken, Timestamp::now());
    if wait > Duration::ZERO {
        return Ok(Action::requeue(wait));
    }
    let Answer { power, inventory } = match ask(&machine, &context).await? {
        Ok(answer) => answer,
        Err(wait) => return Ok(Action::requeue(wait)),
    };
    let after = observe(&context.client, &machine, power).await?;
    if let Some(inventory) = inventory {
        let kept = kept(&machine, inventory, Timestamp::now());
        keep_inventory(&context.client, &machine, &kept).await?;
    }
    if let Some((from, to)) = changed(machine.status.as_ref(), &after) {
        tracing::info!(bmc = %machine.name_any(), from = ?from, to = ?to, "power changed from outside");
    }
    if let Some(why) = lost(machine.status.as_ref(), &after) {
        bmc_unreachable(&context.client, &machine, why).await;
    }
    if let Some(wish) = wish {
        context
            .polled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid, wish.clone());
    }
    Ok(Action::requeue(context.options.poll))
}

/// What a BMC said in one session.
struct Answer {
    power: Result<Said, String>,
    /// None when it was not asked.
    inventory: Option<Result<bmc::Inventory, String>>,
}

/// Asks a BMC, unless somebody else speaks with it or it is left alone: then how long to wait is the error.
async fn ask(machine: &Machine, context: &Context) -> Result<Result<Answer, Duration>, Error> {
    let connection = &machine.spec.connection;
    let Some(turn) = context.contacts.turn_now(connection) else {
        return Ok(Err(BUSY));
    };
    let link = match open(&context.client, connection, turn).await? {
        Ok(link) => link,
        Err(NoLink::Paused(pause, _)) => return Ok(Err(pause)),
        Err(NoLink::Problem(problem)) => {
            return Ok(Ok(Answer {
                power: Err(problem),
                inventory: None,
            }));
        }
    };
    let state = link.client.power_state().await;
    let inventory = if state.is_ok() && is_due(machine, Timestamp::now()) {
        Some(
            link.client
                .inventory()
                .await
                .map_err(|error| causes::line(&error)),
        )
    } else {
        None
    };
    let (protocol, reason) = (link.protocol, link.reason.clone());
    link.close(state.as_ref().err()).await;
    let power = match state {
        Ok(power) => Ok(Said {
            power,
            protocol,
            reason,
        }),
        Err(error) => Err(explained(connection, &error).await),
    };
    Ok(Ok(Answer { power, inventory }))
}
