//! Where a machine is plugged in: starts its QEMU with the boot order of the moment.
//!
//! One-time boot under BIOS is the order of the first boot; it is set back through the monitor before the guest's
//! first instruction, so a reset by the guest finds the persistent order. Under UEFI it is BootNext, which the firmware
//! itself uses up. Neither can be changed safely under a running machine (a flash file is open, and SeaBIOS resets
//! once more by itself after each reset): then a reset has to become a new process.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::monitor::Monitor;
use super::state::{BootOverride, Target};
use crate::Error;
use crate::nvram::{BootTarget, Variables, put_network_first, set_boot_next};
use crate::options::{Accelerator, Firmware};
use crate::paths::RackPaths;
use crate::plan::{MachinePlan, PowerOn, QemuFiles, arguments, boot_indexes};
use crate::process::{die_with_parent, enter};

const QEMU: &str = "qemu-system-x86_64";
const START_LIMIT: Duration = Duration::from_secs(20);

/// What a machine needs to run.
#[derive(Debug)]
pub(crate) struct Bay {
    pub(crate) plan: MachinePlan,
    pub(crate) paths: Arc<RackPaths>,
    pub(crate) namespace: OwnedFd,
    pub(crate) accelerator: Accelerator,
    pub(crate) uefi_code: PathBuf,
}

impl Bay {
    /// Starts the machine: its process and monitor, with the guest running. `before` counts earlier power-ons.
    pub(super) async fn start(&self, boot: BootOverride, before: u64) -> Result<(Child, Monitor), Error> {
        let power_on = PowerOn {
            first_order: boot.order(self.plan.netboot_first),
            disk_slots: self.plan.disk_slots(before),
        };
        self.write_nvram(boot, power_on)?;
        let mut child = self.start_process(power_on)?;
        let machine = || self.plan.name.clone();
        let prepared = tokio::select! {
            prepared = timeout(START_LIMIT, self.prepare(boot)) => match prepared {
                Ok(Ok(monitor)) => Ok(monitor),
                Ok(Err(problem)) => Err(Error::Monitor { machine: machine(), problem }),
                Err(_) => Err(Error::Monitor { machine: machine(), problem: "no answer in time".to_owned() }),
            },
            _ = child.wait() => Err(Error::QemuEnded { machine: machine(), output: self.last_words() }),
        };
        match prepared {
            Ok(monitor) => Ok((child, monitor)),
            Err(error) => {
                let _ = child.kill().await;
                Err(error)
            }
        }
    }

    /// Sets what the machine finds at later resets, then lets it run.
    async fn prepare(&self, boot: BootOverride) -> Result<Monitor, String> {
        let mut monitor = Monitor::connect(&self.paths.monitor_socket(&self.plan)).await?;
        let later = boot.after_boot();
        if self.plan.firmware == Firmware::Bios {
            set_net_index(&mut monitor, later, self.plan.netboot_first).await?;
        }
        if later.in_force().is_some() {
            set_reboot_action(&mut monitor, later).await?;
        }
        monitor.execute("cont", serde_json::Value::Null).await?;
        Ok(monitor)
    }

    fn write_nvram(&self, boot: BootOverride, power_on: PowerOn) -> Result<(), Error> {
        let machine = &self.plan;
        if machine.firmware != Firmware::Uefi {
            return Ok(());
        }
        let target = match boot.in_force() {
            Some(Target::Pxe) => Some(BootTarget::Network),
            Some(Target::Hdd) => Some(BootTarget::Disk(power_on.disk_slots[1])),
            Some(Target::BiosSetup) => Some(BootTarget::Setup),
            Some(Target::None) | None => None,
        };
        if target.is_none() && !machine.netboot_first {
            return Ok(());
        }
        let path = self.paths.nvram(machine);
        let nvram = |problem: String| Error::Nvram {
            machine: machine.name.clone(),
            problem,
        };
        let file = std::fs::read(&path).map_err(Error::file("reading", &path))?;
        let mut variables = Variables::parse(file).map_err(nvram)?;
        if machine.netboot_first {
            put_network_first(&mut variables, machine);
        }
        if let Some(target) = target {
            set_boot_next(&mut variables, machine, target);
        }
        std::fs::write(&path, variables.to_bytes().map_err(nvram)?).map_err(Error::file("writing", &path))
    }

    fn start_process(&self, power_on: PowerOn) -> Result<Child, Error> {
        let (plan, paths) = (&self.plan, &self.paths);
        let (disks, nvram) = ([0, 1, 2].map(|index| paths.disk(plan, index)), paths.nvram(plan));
        let files = QemuFiles {
            uefi_code: &self.uefi_code,
            nvram: &nvram,
            disks: [&disks[0], &disks[1]],
            usb_disk: &disks[2],
            console_log: &paths.console_log(plan),
            console_socket: &paths.console_socket(plan),
            monitor_socket: &paths.monitor_socket(plan),
        };
        let log_path = paths.qemu_log(plan);
        let log = std::fs::File::create(&log_path).map_err(Error::file("creating", &log_path))?;
        let namespace = self
            .namespace
            .try_clone()
            .map_err(Error::file("duplicating", &log_path))?;
        let mut command = std::process::Command::new(QEMU);
        command.args(arguments(plan, self.accelerator, &files, power_on));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.current_dir(paths.machine_dir(plan));
        enter(&mut command, namespace);
        die_with_parent(&mut command);
        let spawned = Command::from(command).kill_on_drop(true).spawn();
        spawned.map_err(|source| Error::Spawn {
            program: QEMU.to_owned(),
            source,
        })
    }

    /// The last line that QEMU wrote.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.paths.qemu_log(&self.plan)).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

/// Whether the guest's next reset is one, or ends the process so that an override can be applied.
pub(super) async fn set_reboot_action(monitor: &mut Monitor, boot: BootOverride) -> Result<(), String> {
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
