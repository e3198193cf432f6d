//! One action of a Task: what it asks for, its time limit, and how far an observation shows it done.

use std::time::Duration;

use bmc::{BootDevice, BootLasts, BootMode, BootOverride, PowerAction, PowerState};
use resources::bmc::{self as api, Indicator, ReportKind};

/// A Task's action in terms of a BMC client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Bring the machine to a state; repeating it does no harm.
    Power(PowerAction),
    /// Reset or cycle: repeating it does harm.
    Once(PowerAction),
    Boot(BootOverride),
    /// Read the power state.
    Status,
    /// Read what the BMC says about the hardware.
    Report(ReportKind),
    /// Switch the identify light.
    Light(Indicator),
}

/// What to do about a power action, given what the BMC shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerStep {
    Done,
    Send,
    Wait,
}

impl Work {
    /// Reads the one action that is set, or says what is wrong with it.
    pub(crate) fn of(action: &api::Action) -> Result<Self, String> {
        let set = [
            action.power_action.map(power),
            action.boot_device.as_ref().map(boot),
            action.one_time_boot_device_action.as_ref().map(boot_one_time),
            action
                .virtual_media_action
                .as_ref()
                .map(|_| Err("virtualMediaAction is not supported yet".to_owned())),
            action.report.map(|kind| Ok(Self::Report(kind))),
            action.indicator.map(|light| Ok(Self::Light(light))),
        ];
        let mut set = set.into_iter().flatten();
        match (set.next(), set.next()) {
            (Some(work), None) => work,
            (None, _) => Err("a task needs exactly one action; this one has none".to_owned()),
            (Some(_), Some(_)) => Err("a task needs exactly one action; this one has several".to_owned()),
        }
    }

    /// How long it may take, all tries included.
    pub(crate) fn limit(self) -> Duration {
        Duration::from_secs(match self {
            // Operating systems take their time to shut down.
            Self::Power(PowerAction::Soft) => 600,
            Self::Power(_) | Self::Once(_) => 300,
            Self::Boot(_) | Self::Status | Self::Report(_) | Self::Light(_) => 180,
        })
    }

    /// The state that shows a power action done.
    pub(crate) fn goal(self) -> Option<PowerState> {
        match self {
            Self::Power(PowerAction::On) => Some(PowerState::On),
            Self::Power(PowerAction::Off | PowerAction::Soft) => Some(PowerState::Off),
            _ => None,
        }
    }

    /// Whether to send the power action (again): not while the machine is on its way, and not sooner than
    /// [`RESEND`] after the last time.
    pub(crate) fn step(self, shown: PowerState, since_sent: Option<Duration>) -> PowerStep {
        let Some(goal) = self.goal() else {
            return PowerStep::Send;
        };
        let on_its_way = matches!(
            (goal, shown),
            (PowerState::On, PowerState::PoweringOn) | (PowerState::Off, PowerState::PoweringOff)
        );
        match since_sent {
            _ if shown == goal => PowerStep::Done,
            _ if on_its_way => PowerStep::Wait,
            Some(since) if since < RESEND => PowerStep::Wait,
            _ => PowerStep::Send,
        }
    }
}

/// A BMC that accepted a request and shows no effect for so long is asked again.
pub(crate) const RESEND: Duration = Duration::from_secs(30);

/// How long to wait before the next try, growing with the time that was spent already.
pub(crate) fn backoff(elapsed: Duration) -> Duration {
    (elapsed / 3).clamp(Duration::from_secs(1), Duration::from_secs(20))
}

fn power(action: api::PowerAction) -> Result<Work, String> {
    Ok(match action {
        api::PowerAction::On => Work::Power(PowerAction::On),
        api::PowerAction::Off => Work::Power(PowerAction::Off),
        api::PowerAction::Soft => Work::Power(PowerAction::Soft),
        api::PowerAction::Cycle => Work::Once(PowerAction::Cycle),
        api::PowerAction::Reset => Work::Once(PowerAction::Reset),
        api::PowerAction::Nmi => Work::Once(PowerAction::Nmi),
        api::PowerAction::Status => Work::Status,
    })
}

fn boot(action: &api::BootDeviceAction) -> Result<Work, String> {
    let lasts = if action.persistent {
        BootLasts::Always
    } else {
        BootLasts::Once
    };
    boot_from(action.device, action.efi_boot, lasts)
}

fn boot_one_time(action: &api::OneTimeBootDeviceAction) -> Result<Work, String> {
    let first = action
        .device
        .first()
        .ok_or("oneTimeBootDeviceAction names no device")?;
    boot_from(*first, action.efi_boot, BootLasts::Once)
}

fn boot_from(device: api::BootDevice, efi: bool, lasts: BootLasts) -> Result<Work, String> {
    let device = match device {
        api::BootDevice::Pxe => BootDevice::Pxe,
        api::BootDevice::Disk => BootDevice::Disk,
        api::BootDevice::Bios => BootDevice::Bios,
        api::BootDevice::Cdrom => BootDevice::Cdrom,
        api::BootDevice::Http if !efi => {
            return Err("boot device http is one of UEFI: set efiBoot".to_owned());
        }
        api::BootDevice::Http => BootDevice::Http,
        api::BootDevice::Safe => {
            return Err("boot device safe is not supported; use pxe, http, disk, bios or cdrom".to_owned());
        }
    };
    Ok(Work::Boot(BootOverride {
        device,
        mode: if efi { BootMode::Uefi } else { BootMode::Legacy },
        lasts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Work, String> {
        Work::of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn actions() {
        for (text, expected) in [
            (r#"{"powerAction":"on"}"#, Work::Power(PowerAction::On)),
            (r#"{"powerAction":"off"}"#, Work::Power(PowerAction::Off)),
            (r#"{"powerAction":"soft"}"#, Work::Power(PowerAction::Soft)),
            (r#"{"powerAction":"cycle"}"#, Work::Once(PowerAction::Cycle)),
            (r#"{"powerAction":"reset"}"#, Work::Once(PowerAction::Reset)),
            (r#"{"powerAction":"status"}"#, Work::Status),
            (r#"{"powerAction":"nmi"}"#, Work::Once(PowerAction::Nmi)),
            (r#"{"report":"sensors"}"#, Work::Report(ReportKind::Sensors)),
            (r#"{"indicator":"on"}"#, Work::Light(Indicator::On)),
            (
                r#"{"bootDevice":{"device":"http","efiBoot":true}}"#,
                Work::Boot(BootOverride::once(BootDevice::Http, BootMode::Uefi)),
            ),
            (
                r#"{"bootDevice":{"device":"pxe","efiBoot":true}}"#,
                Work::Boot(BootOverride::once(BootDevice::Pxe, BootMode::Uefi)),
            ),
            (
                r#"{"oneTimeBootDeviceAction":{"device":["disk","pxe"]}}"#,
                Work::Boot(BootOverride::once(BootDevice::Disk, BootMode::Legacy)),
            ),
            (
                r#"{"bootDevice":{"device":"disk","persistent":true}}"#,
                Work::Boot(BootOverride {
                    device: BootDevice::Disk,
                    mode: BootMode::Legacy,
                    lasts: BootLasts::Always,
                }),
            ),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("{}", "none"),
            (r#"{"powerAction":"on","bootDevice":{"device":"pxe"}}"#, "several"),
            (r#"{"bootDevice":{"device":"safe"}}"#, "safe"),
            (r#"{"bootDevice":{"device":"http"}}"#, "efiBoot"),
            (r#"{"report":"log","indicator":"off"}"#, "several"),
            (r#"{"oneTimeBootDeviceAction":{"device":[]}}"#, "no device"),
            (
                r#"{"virtualMediaAction":{"mediaURL":"","kind":"CD"}}"#,
                "virtualMedia",
            ),
        ] {
            assert!(read(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn power_steps() {
        let (on, off) = (Work::Power(PowerAction::On), Work::Power(PowerAction::Off));
        let recently = Some(Duration::from_secs(5));
        for (work, shown, sent, expected) in [
            (on, PowerState::On, None, PowerStep::Done),
            (on, PowerState::Off, None, PowerStep::Send),
            (on, PowerState::Off, recently, PowerStep::Wait),
            (on, PowerState::Off, Some(RESEND), PowerStep::Send),
            (on, PowerState::PoweringOn, None, PowerStep::Wait),
            (on, PowerState::PoweringOff, None, PowerStep::Send),
            (on, PowerState::Unknown, None, PowerStep::Send),
            (off, PowerState::Unknown, recently, PowerStep::Wait),
            (off, PowerState::On, None, PowerStep::Send),
            (off, PowerState::PoweringOff, Some(RESEND), PowerStep::Wait),
            (off, PowerState::Off, recently, PowerStep::Done),
        ] {
            assert_eq!(work.step(shown, sent), expected, "{work:?} {shown} {sent:?}");
        }
    }

    #[test]
    fn waiting_grows_and_ends() {
        assert_eq!(backoff(Duration::ZERO), Duration::from_secs(1));
        assert_eq!(backoff(Duration::from_secs(30)), Duration::from_secs(10));
        assert_eq!(backoff(Duration::from_secs(3000)), Duration::from_secs(20));
    }
}
