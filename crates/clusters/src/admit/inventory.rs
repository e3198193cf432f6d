//! The hardware of the appliance, read once for all clusters that are to be made at about the same time.
//!
//! It decides only whether a cluster may begin, so nothing is kept of it while none does: it may be a hundred thousand
//! machines.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_spec::FreeHardware;
use kube::{Resource, ResourceExt as _};
use resources::gantry::Server;
use resources::tinkerbell::Hardware;
use resources::{bmc, keys};
use tokio::sync::Mutex;

use crate::access::Access;
use crate::error::Error;

/// How long what was read counts for others. A cluster that may not begin looks again later than that.
const FRESH: Duration = Duration::from_secs(1);

/// Hardware and BMCs of all namespaces.
#[derive(Debug)]
pub(crate) struct Inventory {
    pub(crate) hardware: Vec<Hardware>,
    pub(crate) bmcs: Vec<bmc::Machine>,
    /// Hardware that nobody has, by namespace.
    free: HashMap<String, Vec<FreeHardware>>,
}

impl Inventory {
    /// Hardware of a namespace that nobody has.
    pub(crate) fn free(&self, namespace: &str) -> &[FreeHardware] {
        self.free.get(namespace).map_or(&[], Vec::as_slice)
    }

    async fn read(access: &Access) -> Result<Self, Error> {
        let servers = access.list_all::<Server>().await?;
        let hardware = access.list_all::<Hardware>().await?;
        let bmcs = access.list_all::<bmc::Machine>().await?;
        let claimed: HashSet<_> = servers
            .into_iter()
            .filter(|server| server.spec.claim.is_some())
            .map(|server| (namespace_of(&server), server.spec.hardware))
            .collect();
        let mut free: HashMap<String, Vec<FreeHardware>> = HashMap::new();
        for machine in &hardware {
            let key = (namespace_of(machine), machine.name_any());
            if !claimed.contains(&key) && !machine.labels().contains_key(keys::OWNER_NAME) {
                let (namespace, name) = key;
                free.entry(namespace).or_default().push(FreeHardware {
                    name,
                    labels: machine.labels().clone(),
                });
            }
        }
        Ok(Self { hardware, bmcs, free })
    }
}

fn namespace_of(object: &impl Resource) -> String {
    object.namespace().unwrap_or_default()
}

/// What was read last, while it counts.
#[derive(Debug, Default)]
pub(crate) struct Inventories(Mutex<Option<(Instant, Arc<Inventory>)>>);

impl Inventories {
    /// The hardware as it is now, or was a moment ago. Who asks while somebody reads waits for that.
    pub(crate) async fn get(&self, access: &Access) -> Result<Arc<Inventory>, Error> {
        let mut last = self.0.lock().await;
        if let Some((_, inventory)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(Arc::clone(inventory));
        }
        let began = Instant::now();
        let inventory = Arc::new(Inventory::read(access).await?);
        *last = Some((began, Arc::clone(&inventory)));
        Ok(inventory)
    }

    /// Drops what no longer counts.
    pub(crate) fn forget_old(&self) {
        if let Ok(mut last) = self.0.try_lock()
            && last.as_ref().is_some_and(|(read, _)| read.elapsed() >= FRESH)
        {
            *last = None;
        }
    }
}
