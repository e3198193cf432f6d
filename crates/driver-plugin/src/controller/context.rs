//! What the controllers of plugin drivers share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compare_and_set::Writer;
use kube::Client;
use resources::keys;
use tokio::sync::Semaphore;

use super::schemas::KnownSchemas;
use super::wakes::Wakes;
use crate::drivers::PluginDriver;
use crate::pace::Pace;
use crate::request::Caller;

/// Writes in the name of this controller.
pub(super) const WRITER: Writer = Writer::new(keys::MANAGER_PLUGIN);
/// After an error of the API, before the next try.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// Calls at once where a driver names no limit.
const UNLIMITED: usize = 1024;

/// What the controllers share.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) drivers: BTreeMap<String, PluginDriver>,
    pub(super) wakes: Wakes,
    pub(super) schemas: KnownSchemas,
    installation: String,
    fences: BTreeMap<String, u64>,
    /// Calls that make machines, by driver and scope.
    creates: Mutex<HashMap<(String, String), Arc<Semaphore>>>,
}

impl Context {
    pub(super) fn new(client: Client, installation: String, pace: Pace) -> Self {
        Self {
            client,
            pace,
            drivers: BTreeMap::new(),
            wakes: Wakes::default(),
            schemas: KnownSchemas::default(),
            installation,
            fences: BTreeMap::new(),
            creates: Mutex::default(),
        }
    }

    pub(super) fn add(&mut self, driver: PluginDriver, fence: u64) {
        self.fences.insert(driver.name.clone(), fence);
        self.drivers.insert(driver.name.clone(), driver);
    }

    /// Who calls a driver.
    pub(super) fn caller(&self, driver: &str) -> Caller {
        Caller {
            installation: self.installation.clone(),
            fence: self.fences.get(driver).copied().unwrap_or_default(),
        }
    }

    /// The places of calls that make machines in a scope; so many as the driver has said when it was called first.
    pub(super) fn creates(&self, driver: &PluginDriver, scope: &str) -> Arc<Semaphore> {
        let info = driver.supervisor.status().info;
        let limit = info
            .and_then(|info| info.limits)
            .map(|limits| limits.max_parallel_creates);
        let places = match limit {
            None | Some(0) => UNLIMITED,
            Some(limit) => usize::try_from(limit).unwrap_or(UNLIMITED),
        };
        let mut creates = self.creates.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (driver.name.clone(), scope.to_owned());
        Arc::clone(
            creates
                .entry(place)
                .or_insert_with(|| Arc::new(Semaphore::new(places))),
        )
    }
}
