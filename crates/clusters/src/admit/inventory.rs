//! The hardware of the appliance, read once for all clusters that are to be made at about the same time.
//!
//! Its addresses decide only whether a cluster may begin, so nothing is kept of it while none does: it may be a hundred thousand
//! machines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resources::bmc;
use resources::tinkerbell::Hardware;
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
}

impl Inventory {
    async fn read(access: &Access) -> Result<Self, Error> {
        let hardware = access.list_all::<Hardware>().await?;
        let bmcs = access.list_all::<bmc::Machine>().await?;
        Ok(Self { hardware, bmcs })
    }
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
