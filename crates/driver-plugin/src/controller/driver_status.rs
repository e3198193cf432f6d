//! How a driver's process is, in its ProviderDriver.

use std::sync::Arc;

use driver::supervisor::{DriverPhase, DriverStatus};
use driver::v1::Capability;
use resources::Time;
use resources::gantry::ProviderDriverStatus;
use tokio_util::sync::CancellationToken;

use super::context::{AGAIN, Context};
use super::driver_objects::change;
use crate::drivers::PluginDriver;

/// Writes what the supervisor says until cancelled, and at last that the driver has stopped.
pub(super) async fn follow(context: Arc<Context>, driver: PluginDriver, cancel: CancellationToken) {
    let stopped = cancel.run_until_cancelled_owned(keep_current(&context, &driver));
    stopped.await;
    write(&context, &driver, |status| {
        DriverPhase::Stopped.name().clone_into(&mut status.phase);
        status.reason = Some("the appliance has stopped".to_owned());
        (status.pid, status.next_start) = (None, None);
    })
    .await;
}

/// Until the supervisor ends.
async fn keep_current(context: &Context, driver: &PluginDriver) {
    let mut written: Option<DriverStatus> = None;
    while let Some(now) = driver.supervisor.wait(|now| written.as_ref() != Some(now)).await {
        match write(context, driver, |status| take_in(status, &now)).await {
            true => written = Some(now),
            false => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Tells whether the status was written.
async fn write(
    context: &Context,
    driver: &PluginDriver,
    what: impl FnMut(&mut ProviderDriverStatus) + Send,
) -> bool {
    let written = change(&context.client, &driver.name, what).await;
    if let Err(error) = &written {
        let driver = &driver.name;
        tracing::warn!(driver, error = causes::line(error), "its status was not written");
    }
    written.is_ok()
}

fn take_in(status: &mut ProviderDriverStatus, now: &DriverStatus) {
    now.phase.name().clone_into(&mut status.phase);
    status.since = Some(Time(now.since));
    status.reason = (!now.reason.is_empty()).then(|| now.reason.clone());
    status.next_start = now.next_start.map(Time);
    status.restarts = now.restarts;
    status.pid = now.pid;
    let Some(info) = &now.info else { return };
    status.version = Some(info.version.clone());
    status.title = Some(info.title.clone());
    let capabilities = info.capabilities.iter();
    let known = capabilities.filter_map(|number| Capability::try_from(*number).ok());
    status.capabilities = known
        .map(|known| {
            known
                .as_str_name()
                .trim_start_matches("CAPABILITY_")
                .to_lowercase()
        })
        .collect();
}
