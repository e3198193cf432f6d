//! The virtual BMCs by IPMI, beside Redfish or in its place: the same machine, user, boot override and command log.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use futures::future::BoxFuture;
use ipmi::{
    BootDevice, BootFlags, Command, Completion, Control, Identify, Privilege, ProductInfo, SelRecord,
    wire_guid,
};
use ipmi_server::{Account, Chassis, Identity, Profile, Sensor, Server};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::command_log::{CommandLog, CommandRecord};
use crate::hardware;
use crate::machine::{BootOverride, Enabled, MachineHandle, Refusal, ResetKind, Target};
use crate::options::Firmware;
use crate::plan::MachinePlan;
use crate::status::Power;

/// The machine behind one BMC.
struct Machine {
    plan: MachinePlan,
    handle: MachineHandle,
    log: Arc<CommandLog>,
}

/// Serves until cancelled.
pub(crate) async fn run(
    plan: MachinePlan,
    handle: MachineHandle,
    log: Arc<CommandLog>,
    socket: UdpSocket,
    cancel: CancellationToken,
) {
    let socket = socket
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UdpSocket::from_std(socket));
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(machine = %plan.name, error = %error, "virtual BMC cannot listen");
            return;
        }
    };
    let account = Account {
        name: plan.bmc_user.clone(),
        password: plan.bmc_password.clone(),
        privilege: Privilege::Administrator,
    };
    let machine = Machine { plan, handle, log };
    Server::new(account, Profile::default(), Arc::new(machine))
        .run(socket, cancel)
        .await;
}

impl Chassis for Machine {
    fn is_on(&self) -> bool {
        self.handle.state().power == Power::On
    }

    fn control(&self, control: Control, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>> {
        Box::pin(async move {
            let outcome = match wanted(control, self.is_on()) {
                Ok(Some(kind)) => self.handle.reset(kind).await.map(Some),
                Ok(None) => Ok(None),
                Err(refusal) => Err(refusal),
            };
            let asked = json!({ "control": format!("{control:?}") });
            self.note(Command::ChassisControl, &asked, peer, outcome)
        })
    }

    fn boot_flags(&self) -> BootFlags {
        flags(self.handle.state().boot, self.plan.firmware)
    }

    fn set_boot_flags(&self, flags: BootFlags, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>> {
        Box::pin(async move {
            let asked = json!({ "bootFlags": format!("{flags:?}") });
            let boot = boot_override(flags, self.plan.firmware).ok_or(Completion::INVALID_FIELD)?;
            let outcome = self.handle.set_boot(boot).await.map(Some);
            self.note(Command::SetBootOptions, &asked, peer, outcome)
        })
    }

    fn identity(&self) -> Identity {
        Identity {
            guid: wire_guid(&self.plan.uuid).unwrap_or_default(),
            product: ProductInfo {
                serial: Some(self.plan.serial.clone()),
                ..ProductInfo::default()
            },
        }
    }

    fn sensors(&self) -> Vec<Sensor> {
        hardware::ipmi_sensors(&self.handle.state())
    }

    fn events(&self) -> Vec<SelRecord> {
        hardware::ipmi_events(&self.handle.state())
    }

    fn identifies(&self) -> bool {
        self.handle.state().identifies
    }

    fn identify(&self, identify: Identify, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>> {
        Box::pin(async move {
            let outcome = match identify {
                Identify::Off => self.handle.identify(false).await.map(Some),
                Identify::On => self.handle.identify(true).await.map(Some),
                // A light that goes out by itself is not simulated, so it is refused and not ignored.
                Identify::For(_) => return Err(Completion::INVALID_FIELD),
            };
            let asked = json!({ "identify": format!("{identify:?}") });
            self.note(Command::ChassisIdentify, &asked, peer, outcome)
        })
    }
}

impl Machine {
    /// Writes the command log, in the words and numbers of the Redfish BMC, and makes a completion code of the outcome.
    fn note(
        &self,
        command: Command,
        asked: &Value,
        peer: SocketAddr,
        outcome: Result<Option<String>, Refusal>,
    ) -> Result<(), Completion> {
        let (status, effect, result) = match outcome {
            Ok(effect) => (200, effect, Ok(())),
            Err(Refusal::Conflict(_)) => (409, None, Err(Completion::NOT_IN_THIS_STATE)),
            Err(Refusal::Failed(problem)) => (
                500,
                Some(format!("failed: {problem}")),
                Err(Completion::UNSPECIFIED),
            ),
        };
        self.log.write(&CommandRecord {
            time: Timestamp::now().to_string(),
            machine: self.plan.name.clone(),
            peer: peer.to_string(),
            user: Some(self.plan.bmc_user.clone()),
            method: "IPMI".to_owned(),
            path: command.to_string(),
            body: Some(asked.clone()),
            status,
            effect,
        });
        result
    }
}

/// What a power command asks of the machine; nothing where it is so already, which IPMI does not call an error.
fn wanted(control: Control, on: bool) -> Result<Option<ResetKind>, Refusal> {
    let off = || Refusal::Conflict("the machine is off".to_owned());
    match (control, on) {
        (Control::On, true) | (Control::Off | Control::Soft, false) => Ok(None),
        (Control::On, false) => Ok(Some(ResetKind::On)),
        (Control::Off, true) => Ok(Some(ResetKind::ForceOff)),
        (Control::Soft, true) => Ok(Some(ResetKind::GracefulShutdown)),
        (Control::Cycle, true) => Ok(Some(ResetKind::PowerCycle)),
        (Control::Reset, true) => Ok(Some(ResetKind::ForceRestart)),
        (Control::DiagnosticInterrupt, true) => Ok(Some(ResetKind::Nmi)),
        (Control::Cycle | Control::Reset | Control::DiagnosticInterrupt, false) => Err(off()),
    }
}

fn flags(boot: BootOverride, firmware: Firmware) -> BootFlags {
    let Some(target) = boot.in_force() else {
        return BootFlags::NONE;
    };
    BootFlags {
        valid: true,
        persistent: boot.enabled == Enabled::Continuous,
        efi: firmware == Firmware::Uefi,
        device: match target {
            Target::None => BootDevice::None,
            Target::Pxe => BootDevice::Pxe,
            Target::Hdd => BootDevice::Disk,
            Target::BiosSetup => BootDevice::Setup,
        },
    }
}

/// What boot flags ask for; `None` where this machine cannot do it.
fn boot_override(flags: BootFlags, firmware: Firmware) -> Option<BootOverride> {
    let target = match flags.device {
        BootDevice::None => Target::None,
        BootDevice::Pxe => Target::Pxe,
        BootDevice::Disk => Target::Hdd,
        BootDevice::Setup => Target::BiosSetup,
        BootDevice::Safe | BootDevice::Diagnostic | BootDevice::Cdrom => return None,
    };
    if !flags.valid || target == Target::None {
        return Some(BootOverride::default());
    }
    if flags.efi != (firmware == Firmware::Uefi) || !Target::offered(firmware).contains(&target) {
        return None;
    }
    Some(BootOverride {
        enabled: if flags.persistent {
            Enabled::Continuous
        } else {
            Enabled::Once
        },
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_flags_there_and_back() {
        for firmware in [Firmware::Uefi, Firmware::Bios] {
            for target in Target::offered(firmware) {
                for enabled in [Enabled::Once, Enabled::Continuous] {
                    let boot = BootOverride {
                        enabled,
                        target: *target,
                    };
                    let expected = if *target == Target::None {
                        BootOverride::default()
                    } else {
                        boot
                    };
                    assert_eq!(boot_override(flags(boot, firmware), firmware), Some(expected));
                }
            }
            let mut wrong = flags(
                BootOverride {
                    enabled: Enabled::Once,
                    target: Target::Pxe,
                },
                firmware,
            );
            wrong.efi = !wrong.efi;
            assert_eq!(boot_override(wrong, firmware), None, "the other firmware's boot");
            wrong.valid = false;
            assert_eq!(boot_override(wrong, firmware), Some(BootOverride::default()));
        }
    }

    #[test]
    fn power_commands_by_state() {
        for (control, on, expected) in [
            (Control::On, false, Some(ResetKind::On)),
            (Control::On, true, None),
            (Control::Off, true, Some(ResetKind::ForceOff)),
            (Control::Off, false, None),
            (Control::Soft, false, None),
            (Control::Cycle, true, Some(ResetKind::PowerCycle)),
            (Control::DiagnosticInterrupt, true, Some(ResetKind::Nmi)),
        ] {
            assert_eq!(wanted(control, on), Ok(expected), "{control:?} {on}");
        }
        for control in [Control::Cycle, Control::Reset, Control::DiagnosticInterrupt] {
            assert!(wanted(control, false).is_err());
        }
    }
}
