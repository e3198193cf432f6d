//! Boot sources, for the next boot or for each.

use std::fmt;

/// From where a machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    Pxe,
    Disk,
    Cdrom,
    /// The firmware's set-up menu.
    Bios,
    /// The network, by the HTTP boot of UEFI firmware.
    Http,
}

/// Which kind of firmware boot the override is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootMode {
    Uefi,
    Legacy,
}

/// For how long a boot source counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootLasts {
    /// For the next boot only.
    Once,
    /// For every boot until it is set anew.
    Always,
}

/// A boot source in place of the one that the firmware is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootOverride {
    pub device: BootDevice,
    pub mode: BootMode,
    pub lasts: BootLasts,
}

impl BootOverride {
    /// For the next boot only.
    #[must_use]
    pub const fn once(device: BootDevice, mode: BootMode) -> Self {
        Self {
            device,
            mode,
            lasts: BootLasts::Once,
        }
    }
}

impl fmt::Display for BootOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = match self.lasts {
            BootLasts::Once => "once",
            BootLasts::Always => "for every boot",
        };
        write!(f, "{} ({}) {lasts}", self.device, self.mode.redfish())
    }
}

impl BootLasts {
    /// Redfish `ComputerSystem.BootSourceOverrideEnabled`.
    pub(crate) fn redfish(self) -> &'static str {
        match self {
            Self::Once => "Once",
            Self::Always => "Continuous",
        }
    }
}

impl BootDevice {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Pxe, Self::Http, Self::Disk, Self::Cdrom, Self::Bios];

    /// Redfish `ComputerSystem.BootSource`.
    pub(crate) fn redfish(self) -> &'static str {
        match self {
            Self::Pxe => "Pxe",
            Self::Disk => "Hdd",
            Self::Cdrom => "Cd",
            Self::Bios => "BiosSetup",
            Self::Http => "UefiHttp",
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
            Self::Http => "http",
        })
    }
}
