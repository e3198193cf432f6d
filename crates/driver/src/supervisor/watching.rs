//! The task that keeps one driver running.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::configuration::{DriverConfiguration, SupervisorSettings};
use super::error::StartError;
use super::log::DriverLog;
use super::process::DriverProcess;
use super::restarts::{Next, Restarts};
use super::status::{DriverPhase, DriverStatus, Isolation, NotReady};
use crate::v1::GetInfoResponse;

/// One driver that is kept running.
#[derive(Debug, Clone)]
pub struct Supervisor {
    name: String,
    seen: watch::Receiver<Seen>,
    wishes: mpsc::Sender<Wish>,
    log: Arc<DriverLog>,
}

#[derive(Debug, Clone)]
struct Seen {
    status: DriverStatus,
    channel: Option<Channel>,
}

/// What others want of the task.
#[derive(Debug)]
enum Wish {
    /// Start the driver now, if it does not run.
    Retry,
    /// Run this one in place of the present one.
    Replace(Box<DriverConfiguration>, oneshot::Sender<Result<(), StartError>>),
}

impl Supervisor {
    /// A supervisor and its work, which ends when it is cancelled and the driver has stopped.
    pub fn new(
        driver: DriverConfiguration,
        settings: SupervisorSettings,
        cancel: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let first = DriverStatus {
            phase: DriverPhase::Starting,
            since: Timestamp::now(),
            reason: "its process starts".to_owned(),
            next_start: None,
            pid: None,
            restarts: 0,
            info: None,
            isolation: None,
        };
        let (seen, receiver) = watch::channel(Seen {
            status: first,
            channel: None,
        });
        let (wishes, wanted) = mpsc::channel(4);
        let log = Arc::new(DriverLog::default());
        let supervisor = Self {
            name: driver.name.clone(),
            seen: receiver,
            wishes,
            log: log.clone(),
        };
        let keeper = Keeper {
            driver,
            settings,
            seen,
            wanted,
            log,
            restarts: Restarts::default(),
            draining: JoinSet::new(),
        };
        (supervisor, keeper.run(cancel))
    }

    /// What is so now.
    #[must_use]
    pub fn status(&self) -> DriverStatus {
        self.seen.borrow().status.clone()
    }

    /// Waits for a status in which something holds, and returns it. None when the work has ended.
    pub async fn wait(&self, mut holds: impl FnMut(&DriverStatus) -> bool) -> Option<DriverStatus> {
        let mut seen = self.seen.clone();
        let found = seen.wait_for(|seen| holds(&seen.status)).await.ok()?;
        Some(found.status.clone())
    }

    /// For calls.
    ///
    /// # Errors
    /// When the driver is not ready.
    pub fn channel(&self) -> Result<Channel, NotReady> {
        let seen = self.seen.borrow();
        seen.channel.clone().ok_or_else(|| NotReady {
            driver: self.name.clone(),
            phase: seen.status.phase,
            reason: seen.status.reason.clone(),
        })
    }

    /// What the driver has written.
    #[must_use]
    pub fn log(&self) -> &DriverLog {
        &self.log
    }

    /// Starts the driver now if it waits for its next start or is in quarantine.
    pub async fn retry(&self) {
        // Without a receiver the work has ended.
        let _ = self.wishes.send(Wish::Retry).await;
    }

    /// Runs another program, or the same one set up in another way. The present process takes calls until the new one is
    /// ready, and then ends the calls that it has.
    ///
    /// # Errors
    /// When the new one does not get ready: the present one stays.
    pub async fn replace(&self, driver: DriverConfiguration) -> Result<(), StartError> {
        let (answer, answered) = oneshot::channel();
        let ended = || StartError::Refused {
            driver: self.name.clone(),
            reason: "its supervisor has stopped".to_owned(),
        };
        let wish = Wish::Replace(Box::new(driver), answer);
        self.wishes.send(wish).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The task.
struct Keeper {
    driver: DriverConfiguration,
    settings: SupervisorSettings,
    seen: watch::Sender<Seen>,
    wanted: mpsc::Receiver<Wish>,
    log: Arc<DriverLog>,
    restarts: Restarts,
    /// Processes that others have replaced.
    draining: JoinSet<()>,
}

/// How the time of a process as the driver ended.
enum End {
    Cancelled,
    Failed(String),
}

impl Keeper {
    async fn run(mut self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            self.show(DriverPhase::Starting, "its process starts");
            let started = tokio::select! {
                () = cancel.cancelled() => break,
                started = DriverProcess::start(&self.driver, &self.settings, &self.log) => started,
            };
            let (reason, next) = match started {
                Ok(process) => {
                    let ready = Instant::now();
                    match self.attend(process, &cancel).await {
                        End::Cancelled => break,
                        End::Failed(reason) => (reason, self.ended(ready.elapsed())),
                    }
                }
                Err(error) if error.needs_a_person() => (causes::line(&error), Next::Quarantine),
                Err(error) => (causes::line(&error), self.ended(Duration::ZERO)),
            };
            self.log.note("error", reason.clone());
            tracing::warn!(driver = %self.driver.name, error = %reason, "driver ended");
            if !self.rest(next, &reason, &cancel).await {
                break;
            }
            self.seen.send_modify(|seen| {
                seen.status.restarts = seen.status.restarts.saturating_add(1);
            });
        }
        self.show(DriverPhase::Stopped, "it is not wanted any more");
        while self.draining.join_next().await.is_some() {}
    }

    fn ended(&mut self, lived: Duration) -> Next {
        self.restarts.ended(lived, &self.settings.restarts)
    }

    /// Looks after a process until it ends; another one may take its place meanwhile.
    async fn attend(&mut self, process: DriverProcess, cancel: &CancellationToken) -> End {
        let mut process = process;
        self.show_ready(&process);
        let period = self.settings.health_interval;
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                () = cancel.cancelled() => {
                    self.show(DriverPhase::Stopped, "it is not wanted any more");
                    process.stop(&self.settings).await;
                    return End::Cancelled;
                }
                status = process.wait() => {
                    let status = status.map_or_else(|| "an unknown status".to_owned(), |status| status.to_string());
                    return End::Failed(format!("its process ended with {status}"));
                }
                Some(wish) = self.wanted.recv() => {
                    if let Wish::Replace(driver, answer) = wish {
                        let replaced;
                        (process, replaced) = self.replace(*driver, process).await;
                        failures = 0;
                        // Who asked may have gone.
                        let _ = answer.send(replaced);
                    }
                }
                _ = ticks.tick() => match process.health(self.settings.health_limit).await {
                    Ok(()) => failures = 0,
                    Err(problem) => {
                        failures += 1;
                        self.log.note("warn", problem.clone());
                        if failures >= self.settings.health_failures {
                            process.kill().await;
                            return End::Failed(format!("it was ended: {problem}, {failures} times in a row"));
                        }
                    }
                },
            }
        }
    }

    /// The new process, if it gets ready, else the present one.
    async fn replace(
        &mut self,
        driver: DriverConfiguration,
        present: DriverProcess,
    ) -> (DriverProcess, Result<(), StartError>) {
        match DriverProcess::start(&driver, &self.settings, &self.log).await {
            Err(error) => (present, Err(error)),
            Ok(process) => {
                self.driver = driver;
                self.show_ready(&process);
                let settings = self.settings.clone();
                self.draining.spawn(async move {
                    present.stop(&settings).await;
                });
                (process, Ok(()))
            }
        }
    }

    /// Waits until the driver is to be started again; false when it is not.
    async fn rest(&mut self, next: Next, reason: &str, cancel: &CancellationToken) -> bool {
        let until = match next {
            Next::After(wait) => {
                self.show(DriverPhase::Waiting, reason);
                self.seen.send_modify(|seen| {
                    seen.status.next_start = Timestamp::now().checked_add(wait).ok();
                });
                Some(Instant::now() + wait)
            }
            Next::Quarantine => {
                self.show(DriverPhase::Quarantined, reason);
                None
            }
        };
        let rested = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancel.cancelled() => false,
            () = rested => true,
            // The sender lives as long as a supervisor does; without one nobody asks.
            Some(wish) = self.wanted.recv() => {
                self.restarts.forgive();
                if let Wish::Replace(driver, answer) = wish {
                    self.driver = *driver;
                    // It is taken over at once; whether it gets ready is in the status.
                    let _ = answer.send(Ok(()));
                }
                true
            }
        }
    }

    fn show(&self, phase: DriverPhase, reason: &str) {
        self.seen.send_modify(|seen| {
            seen.channel = None;
            seen.status.phase = phase;
            seen.status.since = Timestamp::now();
            seen.status.reason = reason.to_owned();
            seen.status.next_start = None;
            seen.status.pid = None;
            seen.status.isolation = None;
        });
    }

    fn show_ready(&self, process: &DriverProcess) {
        let info: GetInfoResponse = process.info().clone();
        let pid = process.pid();
        self.seen.send_modify(|seen| {
            seen.channel = Some(process.channel());
            seen.status.phase = DriverPhase::Ready;
            seen.status.since = Timestamp::now();
            seen.status.reason = String::new();
            seen.status.next_start = None;
            seen.status.pid = Some(pid);
            seen.status.isolation = Isolation::of(pid);
            seen.status.info = Some(info);
        });
    }
}
