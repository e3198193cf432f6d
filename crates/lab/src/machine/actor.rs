//! The actor: takes requests of the BMC one after the other, follows the process, applies one-time boot.
//!
//! One-time boot under BIOS is the order of the first boot; it is set back through the monitor before the guest's
//! first instruction, so a reset by the guest finds the persistent order. Under UEFI it is BootNext, which the firmware
//! itself uses up. Neither can be changed safely under a running machine (a flash file is open, and SeaBIOS resets
//! once more by itself after each reset), so an override that is set while it runs makes the next reset end the
//! process, and a new one is started.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::monitor::{Event, Monitor};
use super::state::{BootOverride, MachineState, ResetKind, Target};
use crate::Error;
use crate::nvram::{BootTarget, Variables, put_network_first, set_boot_next};
use crate::options::{Accelerator, Firmware};
use crate::paths::RackPaths;
use crate::plan::{MachinePlan, QemuFiles, arguments, boot_indexes};
use crate::process::{die_with_parent, enter};
use crate::status::Power;

const START_LIMIT: Duration = Duration::from_secs(20);

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

    async fn ask(&self, request: Request) -> Outcome {
        let gone = || Refusal::Failed("the machine is being removed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.requests.send((request, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// What an actor needs to run its machine.
#[derive(Debug)]
pub(crate) struct Bay {
    pub(crate) plan: MachinePlan,
    pub(crate) paths: Arc<RackPaths>,
    pub(crate) namespace: OwnedFd,
    pub(crate) accelerator: Accelerator,
    pub(crate) uefi_code: PathBuf,
}

/// A handle and the task to spawn. The task ends, and kills the machine, when cancelled.
pub(crate) fn spawn(bay: Bay, cancel: CancellationToken) -> (MachineHandle, impl Future<Output = ()> + Send) {
    let (requests, inbox) = mpsc::channel(8);
    let state = MachineState {
        power: Power::Off,
        since: Timestamp::now(),
        boot: BootOverride::default(),
        pid: None,
        power_ons: 0,
        resets: 0,
    };
    let (publish, watch) = watch::channel(state);
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
        let failed = |error: Error| Refusal::Failed(chain(&error));
        match request {
            Request::Boot(boot) => self.set_boot(boot).await,
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
                .map_err(|error| Refusal::Failed(chain(&error)))?;
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
        let machine = self.bay.plan.name.clone();
        let boot = self.publish.borrow().boot;
        self.write_nvram(boot)?;
        let mut child = self.start_process(boot)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let prepared = tokio::select! {
            prepared = timeout(START_LIMIT, self.prepare(boot)) => prepared.unwrap_or_else(|_| Err("did not start in time".to_owned())),
            _ = child.wait() => Err(String::new()),
        };
        let monitor = match prepared {
            Ok(monitor) => monitor,
            Err(problem) => {
                let _ = child.kill().await;
                let log =
                    std::fs::read_to_string(self.bay.paths.qemu_log(&self.bay.plan)).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                return Err(if problem.is_empty() {
                    Error::QemuEnded {
                        machine,
                        output: last.to_owned(),
                    }
                } else {
                    Error::Monitor { machine, problem }
                });
            }
        };
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
        });
        tracing::info!(machine, "powered on");
        Ok(())
    }

    /// Sets what the machine finds at later resets, then lets it run.
    async fn prepare(&self, boot: BootOverride) -> Result<Monitor, String> {
        let mut monitor = Monitor::connect(&self.bay.paths.monitor_socket(&self.bay.plan)).await?;
        let later = boot.after_boot();
        if self.bay.plan.firmware == Firmware::Bios {
            set_net_index(&mut monitor, later, self.bay.plan.netboot_first).await?;
        }
        if later.in_force().is_some() {
            set_reboot_action(&mut monitor, later).await?;
        }
        monitor.execute("cont", serde_json::Value::Null).await?;
        Ok(monitor)
    }

    fn write_nvram(&self, boot: BootOverride) -> Result<(), Error> {
        if self.bay.plan.firmware != Firmware::Uefi {
            return Ok(());
        }
        let target = match boot.in_force() {
            Some(Target::Pxe) => Some(BootTarget::Network),
            Some(Target::Hdd) => Some(BootTarget::Disk),
            Some(Target::BiosSetup) => Some(BootTarget::Setup),
            Some(Target::None) | None => None,
        };
        if target.is_none() && !self.bay.plan.netboot_first {
            return Ok(());
        }
        let path = self.bay.paths.nvram(&self.bay.plan);
        let machine = &self.bay.plan;
        let nvram = |problem: String| Error::Nvram {
            machine: machine.name.clone(),
            problem,
        };
        let mut variables =
            Variables::parse(std::fs::read(&path).map_err(Error::file("reading", &path))?).map_err(nvram)?;
        if machine.netboot_first {
            put_network_first(&mut variables, machine);
        }
        if let Some(target) = target {
            set_boot_next(&mut variables, machine, target);
        }
        std::fs::write(&path, variables.to_bytes().map_err(nvram)?).map_err(Error::file("writing", &path))
    }

    fn start_process(&self, boot: BootOverride) -> Result<Child, Error> {
        let (plan, paths) = (&self.bay.plan, &self.bay.paths);
        let (disks, nvram) = ([paths.disk(plan, 0), paths.disk(plan, 1)], paths.nvram(plan));
        let files = QemuFiles {
            uefi_code: &self.bay.uefi_code,
            nvram: &nvram,
            disks: [&disks[0], &disks[1]],
            console_log: &paths.console_log(plan),
            console_socket: &paths.console_socket(plan),
            monitor_socket: &paths.monitor_socket(plan),
        };
        let log_path = paths.qemu_log(plan);
        let log = std::fs::File::create(&log_path).map_err(Error::file("creating", &log_path))?;
        let namespace = self
            .bay
            .namespace
            .try_clone()
            .map_err(Error::file("duplicating", &log_path))?;
        let mut command = std::process::Command::new("qemu-system-x86_64");
        command.args(arguments(
            plan,
            self.bay.accelerator,
            &files,
            boot.order(plan.netboot_first),
        ));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.current_dir(paths.machine_dir(plan));
        enter(&mut command, namespace);
        die_with_parent(&mut command);
        Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Spawn {
                program: "qemu-system-x86_64".to_owned(),
                source,
            })
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
        });
        tracing::info!(machine = %self.bay.plan.name, "powered off");
    }

    fn follow(&mut self, event: Event) {
        let Some(running) = &mut self.running else { return };
        match event {
            Event::Shutdown { guest_reset } => running.restart = guest_reset,
            Event::Reset => self.publish.send_modify(|state| state.resets += 1),
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
            tracing::error!(machine = %self.bay.plan.name, error = %chain(&error), "machine not started again after its reset");
        }
    }
}

async fn next_event(running: &mut Option<Running>) -> Option<Event> {
    match running {
        Some(running) => running.monitor.event().await,
        None => std::future::pending().await,
    }
}

/// Whether the guest's next reset is one, or ends the process so that an override can be applied.
async fn set_reboot_action(monitor: &mut Monitor, boot: BootOverride) -> Result<(), String> {
    let action = if boot.in_force().is_some() {
        "shutdown"
    } else {
        "reset"
    };
    monitor
        .execute("set-action", json!({ "reboot": action }))
        .await
        .map(drop)
}

/// SeaBIOS' order from the next reset on.
async fn set_net_index(monitor: &mut Monitor, boot: BootOverride, netboot_first: bool) -> Result<(), String> {
    let (_, net) = boot_indexes(boot.order(netboot_first));
    // QEMU refuses the value that the card has already, so it is taken away first.
    for value in [-1, i32::from(net)] {
        let arguments =
            json!({ "path": "/machine/peripheral/net1", "property": "bootindex", "value": value });
        monitor.execute("qom-set", arguments).await?;
    }
    Ok(())
}

/// An error and its causes in one line, for the command log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    text
}
