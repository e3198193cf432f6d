//! One-time boot sources.

use std::fmt;

/// From where a machine boots next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    Pxe,
    Disk,
    Cdrom,
    /// The firmware's set-up menu.
    Bios,
}

/// Which kind of firmware boot the override is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootMode {
    Uefi,
    Legacy,
}

impl BootDevice {
    /// Redfish `ComputerSystem.BootSource`.
    pub(crate) fn redfish(self) -> &'static str {
        match self {
            Self::Pxe => "Pxe",
            Self::Disk => "Hdd",
            Self::Cdrom => "Cd",
            Self::Bios => "BiosSetup",
        }
    }
}

impl BootMode {
    /// Redfish `ComputerSystem.BootSourceOverrideMode`.
    pub(crate) fn redfish(self) -> &'static str {
        match self {
            Self::Uefi => "UEFI",
            Self::Legacy => "Legacy",
        }
    }
}

impl fmt::Display for BootDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pxe => "pxe",
            Self::Disk => "disk",
            Self::Cdrom => "cdrom",
            Self::Bios => "bios",
        })
    }
}
