//! The hardware of the appliance, read once for all clusters that are to be made at about the same time.
//!
//! Its addresses decide only whether a cluster may begin, so nothing is kept of it while none does: it may be a hundred thousand
//! machines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_spec::Hosts;
use resources::bmc;
use resources::tinkerbell::Hardware;
use tokio::sync::Mutex;

use crate::access::Access;
use crate::error::Error;

/// How long what was read counts for others. A cluster that may not begin looks again later than that.
const FRESH: Duration = Duration::from_secs(1);

/// What was read last, while it counts.
#[derive(Debug, Default)]
pub(crate) struct Inventories(Mutex<Option<(Instant, Arc<Hosts>)>>);

impl Inventories {
    /// The hardware as it is now, or was a moment ago. Who asks while somebody reads waits for that.
    pub(crate) async fn get(&self, access: &Access) -> Result<Arc<Hosts>, Error> {
        let mut last = self.0.lock().await;
        if let Some((_, hosts)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(Arc::clone(hosts));
        }
        let began = Instant::now();
        let hosts = Arc::new(read(access).await?);
        *last = Some((began, Arc::clone(&hosts)));
        Ok(hosts)
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

/// Hardware and BMCs of all namespaces.
async fn read(access: &Access) -> Result<Hosts, Error> {
    let hardware = access.list_all::<Hardware>().await?;
    let bmcs = access.list_all::<bmc::Machine>().await?;
    Ok(Hosts::new(&hardware, &bmcs))
}
