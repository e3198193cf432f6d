//! One process of a driver, from its start to its end.

use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::channel;
use super::configuration::{DriverConfiguration, SupervisorSettings};
use super::error::StartError;
use super::group::end_group;
use super::log::DriverLog;
use super::starting::{LAST_WORDS, Starting, directory};
use crate::handshake::{Handshake, MINORS};
use crate::v1::plugin_client::PluginClient;
use crate::v1::{DrainRequest, GetInfoRequest, GetInfoResponse};

/// A process that is ready for calls. It ends when this is dropped.
#[derive(Debug)]
pub struct DriverProcess {
    child: Child,
    /// Its standard input: the process ends when this is closed.
    lifeline: Option<ChildStdin>,
    pid: u32,
    channel: Channel,
    info: GetInfoResponse,
    /// Reads standard error.
    lines: Option<JoinHandle<()>>,
    /// Reads standard output after the handshake.
    rest: Option<JoinHandle<()>>,
    /// Whether anything came on standard output after the handshake.
    wrote: Arc<AtomicBool>,
    _directory: TempDir,
}

impl DriverProcess {
    /// Starts a process and waits until it is ready.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left of the process then.
    pub async fn start(
        driver: &DriverConfiguration,
        settings: &SupervisorSettings,
        log: &Arc<DriverLog>,
    ) -> Result<Self, StartError> {
        let until = Instant::now() + settings.start_limit;
        let directory = directory(driver, settings)?;
        let mut starting = Starting::spawn(driver, settings, &directory, log)?;
        let (channel, info) = match connected(&mut starting, driver, settings, until, directory.path()).await
        {
            Ok(connected) => connected,
            Err(error) => {
                // The process itself ends when it is dropped.
                end_group(starting.pid);
                return Err(error);
            }
        };
        let Starting {
            child,
            lifeline,
            lines,
            rest,
            wrote,
            pid,
            ..
        } = starting;

        Ok(Self {
            child,
            lifeline,
            pid,
            channel,
            info,
            lines,
            rest,
            wrote,
            _directory: directory,
        })
    }

    /// For calls.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What it says of itself.
    #[must_use]
    pub const fn info(&self) -> &GetInfoResponse {
        &self.info
    }

    /// Its id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, and ends what it has started.
    pub async fn wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.wait().await.ok();
        // The kernel gives the number to nobody else while the group has a member, and numbers that have become free only
        // after all others.
        end_group(self.pid);
        status
    }

    /// Tells it to end, by the end of its standard input.
    pub fn close_lifeline(&mut self) {
        self.lifeline = None;
    }

    /// Ends it, and says whether it has written to standard output after the handshake.
    pub async fn end_and_look(mut self, limit: Duration) -> bool {
        self.lifeline = None;
        let _ = timeout(limit, self.wait()).await;
        if let Some(rest) = &mut self.rest {
            // A child of it that lives on may keep the pipe open.
            let _ = timeout(LAST_WORDS, rest).await;
        }
        self.wrote.load(Ordering::Relaxed)
    }

    /// Asks for its health.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub async fn health(&self, limit: Duration) -> Result<(), String> {
        let mut client = HealthClient::new(self.channel());
        let asked = client.check(HealthCheckRequest::default());
        let answer = timeout(limit, asked).await;
        let answer = answer.map_err(|_| format!("no answer to a question after its health in {limit:?}"))?;
        let answer =
            answer.map_err(|status| format!("asked for its health it says: {}", status.message()))?;
        match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(format!("it says that it is {}", other.as_str_name())),
        }
    }

    /// Lets calls under way end, and then ends the process. Returns how many calls were abandoned, where it says so.
    pub async fn stop(mut self, settings: &SupervisorSettings) -> Option<u32> {
        let grace = settings.drain_grace;
        let request = DrainRequest {
            grace: prost_types::Duration::try_from(grace).ok(),
        };
        let mut client = PluginClient::new(self.channel());
        let drained = timeout(grace + settings.stop_limit, client.drain(request)).await;
        let abandoned = drained.ok().and_then(Result::ok);
        self.lifeline = None;
        // One that does not end by itself is killed when this is dropped.
        let _ = timeout(settings.stop_limit, self.wait()).await;
        abandoned.map(|answer| answer.into_inner().abandoned)
    }

    /// Ends the process at once, as a crash would, and waits until it has gone.
    pub async fn kill(mut self) {
        kill_group(self.pid, &self.child);
        let _ = self.child.wait().await;
    }
}

impl Drop for DriverProcess {
    fn drop(&mut self) {
        kill_group(self.pid, &self.child);
        for reader in self.lines.iter().chain(&self.rest) {
            reader.abort();
        }
    }
}

/// Ends a process and what it has started, unless it has been waited for.
fn kill_group(pid: u32, child: &Child) {
    if child.id().is_some() {
        end_group(pid);
    }
}

/// Waits for the handshake, connects, and asks who it is.
async fn connected(
    starting: &mut Starting,
    driver: &DriverConfiguration,
    settings: &SupervisorSettings,
    until: Instant,
    directory: &Path,
) -> Result<(Channel, GetInfoResponse), StartError> {
    let handshake = starting.handshake(until, directory).await?;
    let socket = handshake.socket.clone();
    let channel = channel::connect(socket, starting.pid, settings.call_limit);
    let channel = starting.within(until, "its answer", channel).await?;
    let channel = channel.map_err(|source| StartError::Connect {
        driver: driver.name.clone(),
        source: source.into(),
    })?;
    let asked = introduced(driver, &handshake, channel.clone());
    let info = starting.within(until, "its answer to GetInfo", asked).await??;
    Ok((channel, info))
}

async fn introduced(
    driver: &DriverConfiguration,
    handshake: &Handshake,
    channel: Channel,
) -> Result<GetInfoResponse, StartError> {
    let request = GetInfoRequest {
        core_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_minors: MINORS.to_vec(),
    };
    let answer = PluginClient::new(channel).get_info(request).await;
    let info = answer.map_err(|status| StartError::Call {
        driver: driver.name.clone(),
        call: "GetInfo",
        message: status.message().to_owned(),
    })?;
    let info = info.into_inner();
    let minor = handshake.minor.to_string();
    let said = [
        ("name", info.name.clone(), driver.name.as_str()),
        ("build", info.build_id.clone(), handshake.build_id.as_str()),
        ("minor version", info.protocol_minor.to_string(), minor.as_str()),
    ];
    match said.into_iter().find(|(_, found, wanted)| found != wanted) {
        None => Ok(info),
        Some((what, found, wanted)) => Err(StartError::Identity {
            driver: driver.name.clone(),
            what,
            found,
            wanted: wanted.to_owned(),
        }),
    }
}
