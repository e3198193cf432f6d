//! Keeps the statuses of ProviderClusters: whether the provider can make every machine that is wanted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use compare_and_set::Outcome;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use resources::conditions::{Fact, Holds, conditions};
use resources::gantry::{
    ProviderCluster, ProviderClusterInitialization, ProviderClusterStatus, ProviderDriver, ProviderMachine,
    ProviderPoolStatus,
};
use resources::keys;
use tokio_util::sync::CancellationToken;

use super::context::{AGAIN, Context, WRITER};
use super::driver_objects;
use crate::drivers::PluginDriver;
use crate::error::Error;
use crate::request;
use crate::scope_check::{Checked, ready};
use crate::snapshot::ScopeView;
use crate::verdict::{Verdict, kept, line, verdict};

/// Objects worked on at once.
const CONCURRENCY: u16 = 8;

type Place = (String, String);

/// What was checked last, and of what.
struct Last {
    of: String,
    at: Timestamp,
    checked: Checked,
}

/// A ProviderCluster's controller.
struct Checker {
    context: Arc<Context>,
    /// By object and scope.
    last: Mutex<HashMap<(Place, String), Last>>,
}

/// Runs until cancelled.
pub(super) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let client = context.client.clone();
    let config = watcher::Config::default;
    let controller = Controller::new(Api::<ProviderCluster>::all(client.clone()), config());
    let clusters = controller.store();
    let checker = Arc::new(Checker {
        context,
        last: Mutex::default(),
    });
    controller
        .watches(
            Api::<ProviderDriver>::all(client.clone()),
            config(),
            move |driver| {
                let name = driver.name_any();
                let its = clusters
                    .state()
                    .into_iter()
                    .filter(move |cluster| cluster.spec.provider == name);
                its.map(|cluster| ObjectRef::from_obj(&*cluster))
                    .collect::<Vec<_>>()
            },
        )
        .watches(Api::<ProviderMachine>::all(client), config(), |machine| {
            let namespace = machine.namespace()?;
            Some(ObjectRef::new(&machine.spec.cluster_name).within(&namespace))
        })
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(reconcile, failed, checker)
        .for_each(|_| std::future::ready(()))
        .await;
}

fn failed(object: Arc<ProviderCluster>, error: &Error, _: Arc<Checker>) -> Action {
    let cluster = object.name_any();
    tracing::warn!(
        cluster,
        error = causes::line(error),
        "the status of a ProviderCluster was not written"
    );
    Action::requeue(AGAIN)
}

async fn reconcile(object: Arc<ProviderCluster>, checker: Arc<Checker>) -> Result<Action, Error> {
    let place = (object.namespace().unwrap_or_default(), object.name_any());
    if object.metadata.deletion_timestamp.is_some() {
        checker.lock().retain(|(known, _), _| *known != place);
        return Ok(Action::await_change());
    }
    if object.spec.provider == keys::METAL_PROVIDER {
        return Ok(Action::await_change());
    }
    let context = &checker.context;
    let ready = match context.drivers.get(&object.spec.provider) {
        Some(driver) => checker.ready(&place, &object, driver).await?,
        None => unknown_driver(context, &object.spec.provider),
    };
    let hosts = context.machines_of(&object).await?;
    let now = Timestamp::now();
    let status = status(&object, ready, &hosts, now);
    let api: Api<ProviderCluster> = Api::namespaced(context.client.clone(), &place.0);
    if matches!(WRITER.status(&api, &object, &status).await?, Outcome::Lost) {
        return Ok(Action::requeue(AGAIN));
    }
    let next = std::time::Duration::try_from(context.pace.check);
    Ok(Action::requeue(next.unwrap_or(AGAIN)))
}

fn unknown_driver(context: &Context, provider: &str) -> Fact {
    let known: Vec<&str> = context.drivers.keys().map(String::as_str).collect();
    let text = format!(
        "the configuration of the appliance has no driver {provider} (it has: {}); add it to the file of setting `driversFile`",
        known.join(", ")
    );
    ("Ready", Holds::Unknown, "NoDriver", text)
}

fn status(
    object: &ProviderCluster,
    ready: Fact,
    hosts: &BTreeMap<String, u32>,
    now: Timestamp,
) -> ProviderClusterStatus {
    let generation = object.metadata.generation;
    let before = object.status.as_ref().map(|status| status.conditions.as_slice());
    let can_be_made = ready.1 == Holds::True;
    ProviderClusterStatus {
        observed_generation: generation,
        initialization: Some(ProviderClusterInitialization { provisioned: true }),
        conditions: conditions(before.unwrap_or_default(), &[ready], generation, now),
        pools: object
            .spec
            .pools
            .iter()
            .map(|pool| ProviderPoolStatus {
                name: pool.name.clone(),
                hosts: hosts.get(&pool.name).copied().unwrap_or_default(),
                // A provider of virtual machines counts no hosts: as many as the pool has can be made beside them.
                free: if can_be_made { pool.count.max(1) } else { 0 },
                ..ProviderPoolStatus::default()
            })
            .collect(),
    }
}

impl Context {
    /// How many machines each pool of a cluster has.
    async fn machines_of(&self, object: &ProviderCluster) -> Result<BTreeMap<String, u32>, Error> {
        let namespace = object.namespace().unwrap_or_default();
        let api: Api<ProviderMachine> = Api::namespaced(self.client.clone(), &namespace);
        let machines = api.list(&ListParams::default()).await;
        let machines = machines.map_err(Error::api("list", "ProviderMachine", namespace.as_str()))?;
        let mut counts = BTreeMap::new();
        for machine in machines {
            if machine.spec.cluster_name == object.spec.cluster_name {
                let count: &mut u32 = counts.entry(machine.spec.pool).or_default();
                *count = count.saturating_add(1);
            }
        }
        Ok(counts)
    }
}

impl Checker {
    async fn ready(
        &self,
        place: &Place,
        object: &ProviderCluster,
        driver: &PluginDriver,
    ) -> Result<Fact, Error> {
        let mut wanted: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for pool in &object.spec.pools {
            let Some(plugin) = &pool.plugin else {
                let text = format!("pool {} says nothing of its machines (plugin)", pool.name);
                return Ok(("Ready", Holds::False, "SpecIncomplete", text));
            };
            let spec = request::spec(&plugin.machine, &plugin.image_url, None);
            wanted
                .entry(&plugin.machine.scope)
                .or_default()
                .push((spec, pool.count));
        }
        let mut checked = Vec::new();
        for (scope, specs) in wanted {
            let key = (place.clone(), scope.to_owned());
            let generation = object.metadata.generation.unwrap_or_default();
            let found = self.checked(key, (driver, scope), specs, generation).await?;
            checked.push((scope.to_owned(), found));
        }
        Ok(ready(&driver.name, &checked))
    }

    /// The check of a scope, as it was a short time ago while nothing has changed.
    async fn checked(
        &self,
        key: (Place, String),
        (driver, name): (&PluginDriver, &str),
        specs: Vec<(driver::v1::Spec, u32)>,
        generation: i64,
    ) -> Result<Checked, Error> {
        let Some(scope) = driver.spec.scopes.iter().find(|scope| scope.name == name) else {
            return Ok(Checked::Unknown(format!(
                "driver {} has no scope {name:?}; add it to the file of setting `driversFile`",
                driver.name
            )));
        };
        if let Err(not_ready) = driver.supervisor.channel() {
            return Ok(Checked::Unknown(not_ready.to_string()));
        }
        let open = self.context.open(driver, scope).await?;
        let message = match (open.view, open.message) {
            (ScopeView::Open, Some(message)) => message,
            (ScopeView::Paused { reason, remedy }, _) => {
                let text = format!(
                    "scope {name} of driver {} is paused: {reason}; {remedy}",
                    driver.name
                );
                return Ok(Checked::Unknown(text));
            }
            (ScopeView::Lacks(what), _) => return Ok(Checked::Unknown(what)),
            _ => return Ok(Checked::Unknown(format!("scope {name} has no configuration"))),
        };
        let of = format!("{generation}/{}", open.version);
        let now = Timestamp::now();
        if let Some(known) = self.known(&key, &of, now) {
            return Ok(known);
        }
        let checked = match self.context.check(driver, message, specs).await {
            Ok(items) => Checked::Items(items),
            Err(fault) => {
                let why = line(&kept(&fault));
                if verdict(&fault) == Verdict::Pause {
                    driver_objects::pause(
                        &self.context.client,
                        &driver.name,
                        name,
                        &open.version,
                        why.clone(),
                    )
                    .await?;
                }
                return Ok(Checked::Unknown(format!(
                    "driver {} in scope {name}: {why}",
                    driver.name
                )));
            }
        };
        let last = Last {
            of,
            at: now,
            checked: checked.clone(),
        };
        self.lock().insert(key, last);
        Ok(checked)
    }

    fn known(&self, key: &(Place, String), of: &str, now: Timestamp) -> Option<Checked> {
        // A little earlier than the next look, so that this one is due then.
        let good = self
            .context
            .pace
            .check
            .saturating_sub(SignedDuration::from_millis(500));
        let last = self.lock();
        let last = last.get(key)?;
        let fresh = last.of == of && now < steps::later(last.at, good);
        fresh.then(|| last.checked.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Place, String), Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
