//! What a BMC knows of its machine, and the pure rules of one-time boot.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::options::Firmware;
use crate::plan::BootOrder;
use crate::status::Power;

/// Redfish `ResetType`s that the virtual BMC offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ResetKind {
    On,
    ForceOff,
    GracefulShutdown,
    ForceRestart,
    PowerCycle,
    Nmi,
}

impl ResetKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::On,
        Self::ForceOff,
        Self::GracefulShutdown,
        Self::ForceRestart,
        Self::PowerCycle,
        Self::Nmi,
    ];
}

/// Redfish `BootSourceOverrideEnabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) enum Enabled {
    #[default]
    Disabled,
    Once,
    Continuous,
}

/// Redfish `BootSourceOverrideTarget`, as far as these machines have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) enum Target {
    #[default]
    None,
    Pxe,
    Hdd,
    BiosSetup,
}

impl Target {
    /// What a machine with this firmware can be sent to.
    pub(crate) fn offered(firmware: Firmware) -> &'static [Self] {
        match firmware {
            Firmware::Uefi => &[Self::None, Self::Pxe, Self::Hdd, Self::BiosSetup],
            Firmware::Bios => &[Self::None, Self::Pxe, Self::Hdd],
        }
    }
}

/// The boot source that is set for the next boot, or for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BootOverride {
    pub(crate) enabled: Enabled,
    pub(crate) target: Target,
}

impl BootOverride {
    /// The target, if one is in force.
    pub(crate) fn in_force(self) -> Option<Target> {
        (self.enabled != Enabled::Disabled && self.target != Target::None).then_some(self.target)
    }

    /// What is left of it once a boot has begun.
    pub(crate) fn after_boot(self) -> Self {
        if self.enabled == Enabled::Once {
            Self::default()
        } else {
            self
        }
    }

    /// SeaBIOS' order for the next boot.
    pub(crate) fn order(self, netboot_first: bool) -> BootOrder {
        match self.in_force() {
            Some(Target::Pxe) => BootOrder::NetworkFirst,
            Some(Target::Hdd) => BootOrder::DisksFirst,
            _ if netboot_first => BootOrder::NetworkFirst,
            _ => BootOrder::DisksFirst,
        }
    }
}

/// What a BMC writes into its event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logged {
    PoweredOn,
    PoweredOff,
    /// The processor was reset while the power stayed on.
    Reset,
}

/// The event log of a BMC: its newest entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventLog {
    entries: VecDeque<(Timestamp, Logged)>,
    /// Entries that made room for newer ones.
    gone: usize,
}

impl EventLog {
    const KEPT: usize = 100;

    pub(crate) fn note(&mut self, at: Timestamp, what: Logged) {
        if self.entries.len() >= Self::KEPT {
            self.entries.pop_front();
            self.gone += 1;
        }
        self.entries.push_back((at, what));
    }

    /// Number, time and event of each entry, oldest first. The first entry ever has number 1.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, Timestamp, Logged)> + '_ {
        let numbered = self.entries.iter().enumerate();
        numbered.map(|(at, (time, what))| (self.gone + at + 1, *time, *what))
    }
}

/// What others may see of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineState {
    pub(crate) power: Power,
    pub(crate) since: Timestamp,
    pub(crate) boot: BootOverride,
    pub(crate) pid: Option<i32>,
    /// Power-ons so far.
    pub(crate) power_ons: u64,
    /// Guest resets so far.
    pub(crate) resets: u64,
    /// Whether its identify light is on.
    pub(crate) identifies: bool,
    pub(crate) log: EventLog,
}

impl MachineState {
    /// A machine that was never on.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            power: Power::Off,
            since,
            boot: BootOverride::default(),
            pid: None,
            power_ons: 0,
            resets: 0,
            identifies: false,
            log: EventLog::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_its_newest_entries_with_their_numbers() {
        let mut log = EventLog::default();
        for _ in 0..EventLog::KEPT + 2 {
            log.note(Timestamp::UNIX_EPOCH, Logged::Reset);
        }
        let numbers: Vec<usize> = log.entries().map(|(number, ..)| number).collect();
        assert_eq!((numbers.len(), numbers[0]), (EventLog::KEPT, 3));
        assert_eq!(numbers.last(), Some(&(EventLog::KEPT + 2)));
    }

    #[test]
    fn once_is_used_up_and_continuous_is_not() {
        let set = |enabled, target| BootOverride { enabled, target };
        for (before, netboot_first, order, after) in [
            (
                set(Enabled::Disabled, Target::None),
                false,
                BootOrder::DisksFirst,
                BootOverride::default(),
            ),
            (
                set(Enabled::Disabled, Target::Pxe),
                false,
                BootOrder::DisksFirst,
                set(Enabled::Disabled, Target::Pxe),
            ),
            (
                set(Enabled::Once, Target::Pxe),
                false,
                BootOrder::NetworkFirst,
                BootOverride::default(),
            ),
            (
                set(Enabled::Once, Target::Hdd),
                true,
                BootOrder::DisksFirst,
                BootOverride::default(),
            ),
            (
                set(Enabled::Once, Target::None),
                true,
                BootOrder::NetworkFirst,
                BootOverride::default(),
            ),
            (
                set(Enabled::Continuous, Target::Pxe),
                false,
                BootOrder::NetworkFirst,
                set(Enabled::Continuous, Target::Pxe),
            ),
        ] {
            assert_eq!(before.order(netboot_first), order, "{before:?}");
            assert_eq!(before.after_boot(), after, "{before:?}");
        }
    }
}
