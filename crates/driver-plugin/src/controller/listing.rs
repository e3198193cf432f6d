//! Lists of orphans: now and then, and when somebody asks. Nothing is deleted here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::watcher;
use resources::gantry::{OrphanList, ProviderDriver, ProviderMachine, ProviderScope};
use resources::{Time, keys};
use telemetry::Events;
use tokio_util::sync::CancellationToken;

use super::context::{AGAIN, Context};
use super::driver_objects;
use crate::drivers::PluginDriver;
use crate::error::Error;
use crate::orphans::orphans;
use crate::snapshot::ScopeView;
use crate::verdict::{Verdict, kept, line, verdict};

/// Drivers worked on at once.
const CONCURRENCY: u16 = 8;

/// Runs until cancelled.
pub(super) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let api: Api<ProviderDriver> = Api::all(context.client.clone());
    Controller::new(api, watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(reconcile, failed, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

fn failed(object: Arc<ProviderDriver>, error: &Error, _: Arc<Context>) -> Action {
    let driver = object.name_any();
    tracing::warn!(driver, error = causes::line(error), "no list of orphans");
    Action::requeue(AGAIN)
}

async fn reconcile(object: Arc<ProviderDriver>, context: Arc<Context>) -> Result<Action, Error> {
    let Some(driver) = context.drivers.get(&object.name_any()) else {
        return Ok(Action::await_change());
    };
    let request = object.annotations().get(keys::ORPHANS_REQUESTED);
    let mut next = context.pace.orphans;
    for scope in &driver.spec.scopes {
        let status = object
            .status
            .as_ref()
            .and_then(|status| status.scope(&scope.name));
        let before = status.and_then(|status| status.orphans.as_ref());
        let wait = until_due(before, request, (context.pace.orphans, context.pace.change));
        next = match wait {
            Some(wait) => next.min(wait),
            None => next.min(context.list(&object, driver, scope, before, request).await?),
        };
    }
    let next = Duration::try_from(next).unwrap_or_default();
    Ok(Action::requeue(next.max(Duration::from_secs(1))))
}

/// How long the last list is good yet; nothing when another one is due.
fn until_due(
    before: Option<&OrphanList>,
    request: Option<&String>,
    (usual, after_error): (SignedDuration, SignedDuration),
) -> Option<SignedDuration> {
    let before = before?;
    let asked = before.asked_at.as_ref()?.0;
    let pause = match &before.error {
        None => usual,
        Some(_) => after_error.min(usual),
    };
    let left = steps::later(asked, pause).duration_since(Timestamp::now());
    let is_answered = request.is_none() || request == before.request.as_ref();
    (is_answered && left.is_positive()).then_some(left)
}

impl Context {
    /// Has a scope listed and writes what is known then. Returns when the next list is due.
    async fn list(
        &self,
        object: &ProviderDriver,
        driver: &PluginDriver,
        scope: &ProviderScope,
        before: Option<&OrphanList>,
        request: Option<&String>,
    ) -> Result<SignedDuration, Error> {
        let (mut list, pause) = match self.listed(driver, scope, before).await? {
            Ok(list) => (list, self.pace.orphans),
            Err(why) => {
                let old = before.cloned().unwrap_or_default();
                let list = OrphanList {
                    error: Some(why),
                    asked_at: Some(Time(Timestamp::now())),
                    ..old
                };
                (list, self.pace.change.min(self.pace.orphans))
            }
        };
        list.request = request.cloned();
        let confirmed = |list: &OrphanList| list.orphans.iter().filter(|orphan| orphan.confirmed).count();
        let count = confirmed(&list);
        if count > before.map_or(0, confirmed) {
            let text = format!(
                "scope {}: {count} machines at the provider belong to no ProviderMachine: gantry driver gc --dry-run lists them",
                scope.name
            );
            let events = Events::new(self.client.clone(), keys::MANAGER_PLUGIN);
            events.warn(object, "Orphans", &text).await;
        }
        driver_objects::change(&self.client, &driver.name, |status| {
            status.scope_mut(&scope.name).orphans = Some(list.clone());
        })
        .await?;
        Ok(pause)
    }

    /// A list of a scope, or why there is none.
    async fn listed(
        &self,
        driver: &PluginDriver,
        scope: &ProviderScope,
        before: Option<&OrphanList>,
    ) -> Result<Result<OrphanList, String>, Error> {
        let open = self.open(driver, scope).await?;
        let message = match (open.view, open.message) {
            (ScopeView::Open, Some(message)) => message,
            (ScopeView::Paused { reason, remedy }, _) => return Ok(Err(format!("{reason}; {remedy}"))),
            (ScopeView::Lacks(what), _) => return Ok(Err(what)),
            _ => return Ok(Err("the scope has no configuration".to_owned())),
        };
        let listed = match self.list_all(driver, message).await {
            Ok(listed) => listed,
            Err(fault) => {
                let why = line(&kept(&fault));
                if verdict(&fault) == Verdict::Pause {
                    driver_objects::pause(
                        &self.client,
                        &driver.name,
                        &scope.name,
                        &open.version,
                        why.clone(),
                    )
                    .await?;
                }
                return Ok(Err(why));
            }
        };
        // After the provider: whatever it has was written down here before it was made.
        let known = self.machine_uids().await?;
        let limits = driver.supervisor.status().info.and_then(|info| info.limits);
        let lag = SignedDuration::from_secs(limits.map_or(0, |limits| limits.list_lag_seconds).into());
        let apart = self.pace.confirm.max(lag.saturating_mul(2));
        let now = Timestamp::now();
        Ok(Ok(orphans(
            before,
            &self.caller(&driver.name).installation,
            &listed,
            &known,
            (now, apart),
        )))
    }

    async fn machine_uids(&self) -> Result<BTreeSet<String>, Error> {
        let api: Api<ProviderMachine> = Api::all(self.client.clone());
        let machines = api.list(&ListParams::default()).await;
        let machines = machines.map_err(Error::api("list", "ProviderMachine", ""))?;
        let uids = machines.items.into_iter().map(|machine| machine.spec.machine_uid);
        Ok(uids.collect())
    }
}
