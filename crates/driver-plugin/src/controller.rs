//! The controller: runs the state machine of each ProviderMachine when it or what belongs to it changes, and looks after
//! ProviderClusters and ProviderDrivers.

mod calls;
mod context;
mod driver_objects;
mod driver_status;
mod listing;
mod machine;
mod machines;
mod provider_clusters;
mod read;
mod schemas;
mod seen;
mod wakes;

use std::sync::Arc;

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::drivers::PluginDriver;
use crate::error::Error;
use crate::pace::Pace;
use context::{AGAIN, Context};

/// The controller of all plugin drivers, ready to run.
#[derive(Clone)]
pub struct PluginController {
    client: Client,
    drivers: Vec<PluginDriver>,
    pace: Pace,
}

impl std::fmt::Debug for PluginController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginController")
            .field("drivers", &self.drivers)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl PluginController {
    /// On this API, with these drivers, whose processes somebody else keeps running. Without any it says of machines of
    /// drivers which are missing.
    #[must_use]
    pub const fn new(client: Client, drivers: Vec<PluginDriver>, pace: Pace) -> Self {
        Self {
            client,
            drivers,
            pace,
        }
    }

    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let begun = async {
            loop {
                match self.begin().await {
                    Ok(context) => break context,
                    Err(error) => {
                        tracing::warn!(error = causes::line(&error), "plugin drivers are not begun with");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        };
        let context = tokio::select! {
            () = cancel.cancelled() => return,
            context = begun => Arc::new(context),
        };
        let statuses = context
            .drivers
            .values()
            .map(|driver| driver_status::follow(Arc::clone(&context), driver.clone(), cancel.clone()));
        tokio::join!(
            futures::future::join_all(statuses),
            machines::run(Arc::clone(&context), cancel.clone()),
            provider_clusters::run(Arc::clone(&context), cancel.clone()),
            listing::run(Arc::clone(&context), cancel.clone()),
        );
    }

    /// Writes what the configuration says, and takes over from whoever worked with the drivers before.
    async fn begin(&self) -> Result<Context, Error> {
        let installation = driver_objects::installation(&self.client).await?;
        driver_objects::remove_others(&self.client, &self.drivers).await?;
        let mut context = Context::new(self.client.clone(), installation, self.pace);
        for driver in &self.drivers {
            let fence = driver_objects::begin(&self.client, driver).await?;
            context.add(driver.clone(), fence);
        }
        Ok(context)
    }
}
