//! Plugin drivers as the settings want them: their processes, their logs, and their controller.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use driver::supervisor::{Launcher, Supervisor, SupervisorSettings};
use driver_plugin::{Pace, PluginController, PluginDriver};
use kube::Client;
use resources::{DriverLogLine, printable};
use store::records::{NewRecord, Records, Ring};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::settings::{self, Settings};

const WHAT: &str = "plugin drivers";
/// Kind of the records with lines of drivers.
pub(crate) const LOG_KIND: &str = "DriverLog";
/// Between two looks at what a driver has written.
const LOOK: Duration = Duration::from_secs(1);
/// For calls under way when the appliance ends; all of it has 5 seconds.
const DRAIN: Duration = Duration::from_secs(2);
/// For the process to end after that.
const STOP: Duration = Duration::from_secs(1);

/// Drivers that are set up and not started.
pub(crate) struct PluginDrivers {
    drivers: Vec<settings::ConfiguredDriver>,
    supervision: SupervisorSettings,
    /// Where their sockets are.
    directory: TempDir,
}

impl PluginDrivers {
    /// Reads the file of drivers, where the settings name one.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Error> {
        let drivers = match &settings.drivers_file {
            Some(path) => settings::read_drivers(path)?,
            None => Vec::new(),
        };
        let failed = |source| Error::part(WHAT)(source);
        // Sockets have short paths, so it is none in the data directory.
        let directory = tempfile::Builder::new()
            .prefix("gantry-drivers-")
            .tempdir()
            .map_err(failed)?;
        // A driver with a user of its own has to get to its own directory in there.
        let mode = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(directory.path(), mode).map_err(failed)?;
        let launcher = Launcher {
            program: std::env::current_exe().map_err(failed)?,
            arguments: vec![driver::launch::ARGUMENT.to_owned()],
        };
        let mut supervision = SupervisorSettings::new(launcher, directory.path().to_owned());
        (supervision.drain_grace, supervision.stop_limit) = (DRAIN, STOP);
        Ok(Self {
            drivers,
            supervision,
            directory,
        })
    }

    /// Runs processes and controller until cancelled.
    pub(crate) async fn run(self, client: Client, records: Records, cancel: CancellationToken) {
        let mut known = Vec::new();
        let mut processes = Vec::new();
        for driver in self.drivers {
            let name = driver.process.name.clone();
            let settings = self.supervision.clone();
            let (supervisor, work) = Supervisor::new(driver.process, settings, cancel.clone());
            let log = LogKeeper {
                driver: name.clone(),
                supervisor: supervisor.clone(),
                records: records.clone(),
                last: 0,
            };
            processes.push(log.along(work));
            known.push(PluginDriver {
                name,
                spec: driver.spec,
                supervisor,
            });
        }
        let controller = PluginController::new(client, known, Pace::default());
        tokio::join!(
            futures::future::join_all(processes),
            controller.run(cancel.clone())
        );
        // A supervisor without a driver ends at once.
        cancel.cancelled().await;
        drop(self.directory);
    }
}

/// Puts what a driver writes into the records.
struct LogKeeper {
    driver: String,
    supervisor: Supervisor,
    records: Records,
    /// Number of the last line that is kept.
    last: u64,
}

impl LogKeeper {
    /// Keeps lines while the work goes on, and its last ones.
    async fn along(mut self, work: impl Future<Output = ()>) {
        tokio::pin!(work);
        loop {
            tokio::select! {
                () = &mut work => break,
                () = tokio::time::sleep(LOOK) => self.keep().await,
            }
        }
        self.keep().await;
    }

    async fn keep(&mut self) {
        let lines = self.supervisor.log().after(self.last);
        let newest = lines.last().map_or(self.last, |line| line.number);
        let new = lines.into_iter().filter_map(|line| {
            let data = DriverLogLine {
                level: line.level,
                text: printable(&line.message).into_owned(),
            };
            Some(NewRecord {
                kind: LOG_KIND.to_owned(),
                machine: self.driver.clone(),
                ring: Ring::Machine,
                at: line.at.as_millisecond(),
                payload: serde_json::to_value(data).ok()?,
            })
        });
        let new: Vec<NewRecord> = new.collect();
        if new.is_empty() {
            return;
        }
        match self.records.append_all(new).await {
            Ok(_) => self.last = newest,
            Err(error) => {
                let driver = &self.driver;
                tracing::warn!(
                    driver,
                    error = causes::line(&error),
                    "the driver's log was not kept"
                );
            }
        }
    }
}
