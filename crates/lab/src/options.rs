//! What a caller says about a rack.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Most machines of one rack; the plan's address ranges are laid out for it.
pub(crate) const MAX_MACHINES: usize = 64;

/// How to start a rack. What is persisted of it is enough to derive the whole rack again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpOptions {
    /// Everything is derived from it; `None` draws one, which is printed.
    pub seed: Option<String>,
    pub machines: usize,
    pub firmware: Firmware,
    /// Virtual CPUs of each machine.
    pub cpus: u32,
    /// Memory of each machine in MiB; the first entry is for the first machine, the last for all others.
    pub memory_mib: Vec<u32>,
    /// Size of the second disk, the one to install on, in GiB. Sparse: costs what is written.
    pub disk_gib: u32,
    /// Network boot before disks, on every boot.
    pub netboot_first: bool,
    /// The two disks of a machine change places at each power-on after the first, and with them their kernel names.
    #[serde(default)]
    pub swap_disks: bool,
    /// Each machine has a removable USB disk, which the kernel calls `/dev/sda`.
    #[serde(default)]
    pub usb_disk: bool,
    /// Machine, counted from 0, whose target disk has sectors that can be neither read nor written.
    #[serde(default)]
    pub bad_disk: Option<usize>,
    /// The BMCs speak IPMI and no Redfish.
    #[serde(default)]
    pub ipmi_only: bool,
    pub accelerator: Accelerator,
    /// Use disks and firmware variables that an earlier rack of this seed left.
    pub keep_disks: bool,
    /// Leave a supervisor behind and return when the rack is ready.
    pub detach: bool,
    /// Capture so many bytes of each packet of the boot network to `boot.pcap` in the state directory.
    pub capture: Option<u16>,
    /// Program and arguments that run [`crate::supervise`] on the directory appended to them.
    /// Empty: this program with `lab supervise`.
    pub supervisor: Vec<String>,
    /// Where racks keep their state; `None` is [`crate::state_root`].
    pub state_root: Option<PathBuf>,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            seed: None,
            machines: 2,
            firmware: Firmware::Uefi,
            cpus: 2,
            memory_mib: vec![3072, 2048],
            disk_gib: 20,
            netboot_first: false,
            swap_disks: false,
            usb_disk: false,
            bad_disk: None,
            ipmi_only: false,
            accelerator: Accelerator::Auto,
            keep_disks: false,
            detach: false,
            capture: None,
            supervisor: Vec::new(),
            state_root: None,
        }
    }
}

impl UpOptions {
    /// Refuses sizes that no machine starts with.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.machines == 0 || self.machines > MAX_MACHINES {
            return Err(Error::Machines {
                asked: self.machines,
                limit: MAX_MACHINES,
            });
        }
        let memory = self.memory_mib.iter().min().copied().unwrap_or_default();
        for (what, asked, least) in [
            ("memory (MiB)", memory, 256),
            ("number of CPUs", self.cpus, 1),
            ("disk (GiB)", self.disk_gib, 1),
        ] {
            if asked < least {
                return Err(Error::TooSmall {
                    what,
                    asked: u64::from(asked),
                    least: u64::from(least),
                });
            }
        }
        Ok(())
    }

    /// Memory of the machine at `index`, in MiB.
    pub(crate) fn memory_of(&self, index: usize) -> u32 {
        self.memory_mib
            .get(index)
            .or(self.memory_mib.last())
            .copied()
            .unwrap_or(2048)
    }
}

/// How to end a rack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownOptions {
    /// Which rack; `None` is the only one.
    pub id: Option<String>,
    /// Keep disks and firmware variables for the next rack of this seed.
    pub keep_disks: bool,
    pub state_root: Option<PathBuf>,
}

/// A machine's firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// OVMF with its own PXE.
    Uefi,
    /// SeaBIOS with the iPXE ROM of the network card.
    Bios,
}

/// What runs the guests' instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// KVM if a guest really boots with it, else TCG.
    Auto,
    Kvm,
    Tcg,
}

impl FromStr for Firmware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uefi" => Ok(Self::Uefi),
            "bios" => Ok(Self::Bios),
            _ => Err(format!("'{text}' is neither uefi nor bios")),
        }
    }
}

impl FromStr for Accelerator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            _ => Err(format!("'{text}' is none of auto, kvm and tcg")),
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uefi => "uefi",
            Self::Bios => "bios",
        })
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}
