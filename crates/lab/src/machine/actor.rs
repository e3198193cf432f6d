//! The actor: takes requests of the BMC one after the other and follows the process.
//!
//! A boot override that is set while the machine runs makes its next reset end the process, and a new one is started:
//! see [`super::bay`] for why.

use jiff::Timestamp;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::bay::{Bay, set_reboot_action};
use super::monitor::{Event, Monitor};
use super::state::{BootOverride, Logged, MachineState, ResetKind};
use crate::Error;
use crate::status::Power;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not in this power state.
    Conflict(String),
    Failed(String),
}

/// The answer to a request: what it did, in words for the command log.
type Outcome = Result<String, Refusal>;

enum Request {
    Reset(ResetKind),
    Boot(BootOverride),
    Identify(bool),
}

/// The BMC's end of a machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineHandle {
    requests: mpsc::Sender<(Request, oneshot::Sender<Outcome>)>,
    state: watch::Receiver<MachineState>,
}

impl MachineHandle {
    pub(crate) fn state(&self) -> MachineState {
        self.state.borrow().clone()
    }

    /// Wakes at each change of state.
    pub(crate) fn watch(&self) -> watch::Receiver<MachineState> {
        self.state.clone()
    }

    pub(crate) async fn reset(&self, kind: ResetKind) -> Outcome {
        self.ask(Request::Reset(kind)).await
    }

    pub(crate) async fn set_boot(&self, boot: BootOverride) -> Outcome {
        self.ask(Request::Boot(boot)).await
    }

    /// Switches the identify light.
    pub(crate) async fn identify(&self, on: bool) -> Outcome {
        self.ask(Request::Identify(on)).await
    }

    async fn ask(&self, request: Request) -> Outcome {
        let gone = || Refusal::Failed("the machine is being removed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.requests.send((request, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// A handle and the task to spawn. The task ends, and kills the machine, when cancelled.
pub(crate) fn spawn(bay: Bay, cancel: CancellationToken) -> (MachineHandle, impl Future<Output = ()> + Send) {
    let (requests, inbox) = mpsc::channel(8);
    let (publish, watch) = watch::channel(MachineState::new(Timestamp::now()));
    let actor = Actor {
        bay,
        publish,
        running: None,
    };
    (
        MachineHandle {
            requests,
            state: watch,
        },
        actor.run(inbox, cancel),
    )
}

struct Running {
    child: Child,
    monitor: Monitor,
    /// The guest asked for a reset that has to become a new process.
    restart: bool,
}

struct Actor {
    bay: Bay,
    publish: watch::Sender<MachineState>,
    running: Option<Running>,
}

enum Happened {
    Request(Request, oneshot::Sender<Outcome>),
    Event(Option<Event>),
    Cancelled,
}

impl Actor {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<(Request, oneshot::Sender<Outcome>)>,
        cancel: CancellationToken,
    ) {
        loop {
            let happened = tokio::select! {
                () = cancel.cancelled() => Happened::Cancelled,
                request = inbox.recv() => request.map_or(Happened::Cancelled, |(what, reply)| Happened::Request(what, reply)),
                event = next_event(&mut self.running) => Happened::Event(event),
            };
            match happened {
                Happened::Cancelled => break,
                Happened::Request(request, reply) => {
                    let outcome = self.handle(request).await;
                    // A BMC client that hung up does not undo what was done.
                    let _ = reply.send(outcome);
                }
                Happened::Event(Some(event)) => self.follow(event),
                Happened::Event(None) => self.ended().await,
            }
        }
        self.power_off().await;
    }

    async fn handle(&mut self, request: Request) -> Outcome {
        let failed = |error: Error| Refusal::Failed(causes::line(&error));
        match request {
            Request::Boot(boot) => self.set_boot(boot).await,
            Request::Identify(on) => {
                self.publish.send_modify(|state| state.identifies = on);
                Ok(format!("identify light {}", if on { "on" } else { "off" }))
            }
            Request::Reset(kind) => match (kind, self.running.is_some()) {
                (ResetKind::On, false) | (ResetKind::PowerCycle, false) => {
                    self.power_on().await.map_err(failed)?;
                    Ok("powered on".to_owned())
                }
                (ResetKind::On, true) => Err(Refusal::Conflict("the machine is on already".to_owned())),
                (ResetKind::ForceOff | ResetKind::GracefulShutdown, false) => {
                    Err(Refusal::Conflict("the machine is off already".to_owned()))
                }
                (_, false) => Err(Refusal::Conflict("the machine is off".to_owned())),
                (ResetKind::ForceOff, true) => {
                    self.power_off().await;
                    Ok("powered off".to_owned())
                }
                (ResetKind::PowerCycle, true) => {
                    self.power_off().await;
                    self.power_on().await.map_err(failed)?;
                    Ok("powered off and on".to_owned())
                }
                (ResetKind::ForceRestart, true) => self.reset().await,
                (ResetKind::GracefulShutdown, true) => {
                    self.execute("system_powerdown").await?;
                    Ok("power button pressed".to_owned())
                }
                (ResetKind::Nmi, true) => {
                    self.execute("inject-nmi").await?;
                    Ok("NMI sent".to_owned())
                }
            },
        }
    }

    async fn execute(&mut self, command: &str) -> Result<(), Refusal> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running
            .monitor
            .execute(command, serde_json::Value::Null)
            .await
            .map(drop)
            .map_err(Refusal::Failed)
    }

    /// The reset line. With an override waiting it has to be a new process.
    async fn reset(&mut self) -> Outcome {
        if self.publish.borrow().boot.in_force().is_some() {
            self.power_off().await;
            self.power_on()
                .await
                .map_err(|error| Refusal::Failed(causes::line(&error)))?;
        } else {
            self.execute("system_reset").await?;
        }
        Ok("reset".to_owned())
    }

    async fn set_boot(&mut self, boot: BootOverride) -> Outcome {
        if let Some(running) = &mut self.running {
            set_reboot_action(&mut running.monitor, boot)
                .await
                .map_err(Refusal::Failed)?;
        }
        self.publish.send_modify(|state| state.boot = boot);
        Ok(match boot.in_force() {
            Some(target) => format!("next boot from {target:?}"),
            None => "no boot override".to_owned(),
        })
    }

    async fn power_on(&mut self) -> Result<(), Error> {
        let (boot, before) = {
            let state = self.publish.borrow();
            (state.boot, state.power_ons)
        };
        let (child, monitor) = self.bay.start(boot, before).await?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        self.running = Some(Running {
            child,
            monitor,
            restart: false,
        });
        self.publish.send_modify(|state| {
            state.power = Power::On;
            state.since = Timestamp::now();
            state.boot = boot.after_boot();
            state.pid = pid;
            state.power_ons += 1;
            state.log.note(state.since, Logged::PoweredOn);
        });
        tracing::info!(machine = %self.bay.plan.name, "powered on");
        Ok(())
    }

    /// Cuts the power.
    async fn power_off(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        if let Err(error) = running.child.kill().await {
            tracing::warn!(machine = %self.bay.plan.name, error = %error, "QEMU not killed");
        }
        self.is_off();
    }

    fn is_off(&self) {
        for socket in [
            self.bay.paths.monitor_socket(&self.bay.plan),
            self.bay.paths.console_socket(&self.bay.plan),
        ] {
            let _ = std::fs::remove_file(socket);
        }
        self.publish.send_modify(|state| {
            state.power = Power::Off;
            state.since = Timestamp::now();
            state.pid = None;
            state.log.note(state.since, Logged::PoweredOff);
        });
        tracing::info!(machine = %self.bay.plan.name, "powered off");
    }

    fn follow(&mut self, event: Event) {
        let Some(running) = &mut self.running else { return };
        match event {
            Event::Shutdown { guest_reset } => running.restart = guest_reset,
            Event::Reset => self.publish.send_modify(|state| {
                state.resets += 1;
                state.log.note(Timestamp::now(), Logged::Reset);
            }),
            Event::Other => {}
        }
    }

    /// The monitor is closed, so the process ends or has ended.
    async fn ended(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let _ = running.child.kill().await;
        self.is_off();
        if running.restart
            && let Err(error) = self.power_on().await
        {
            tracing::error!(machine = %self.bay.plan.name, error = %causes::line(&error), "machine not started again after its reset");
        }
    }
}

async fn next_event(running: &mut Option<Running>) -> Option<Event> {
    match running {
        Some(running) => running.monitor.event().await,
        None => std::future::pending().await,
    }
}
