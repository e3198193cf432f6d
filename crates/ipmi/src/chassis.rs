//! Power and boot source (IPMI 2.0 §28).

use crate::Malformed;
use crate::reader::Reader;

/// Numbers of boot option parameters (table 28-14).
pub mod boot_parameter {
    /// When the BMC drops boot flags by itself.
    pub const CLEARING: u8 = 3;
    /// The flags of [`super::BootFlags`].
    pub const FLAGS: u8 = 5;
    /// For [`CLEARING`]: keep the flags although no power command comes within a minute.
    pub const KEEP_WITHOUT_COMMAND: u8 = 0x08;
}

/// What Get Chassis Status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChassisStatus {
    pub on: bool,
    /// Whether the chassis shows where it is; `None` where the BMC does not tell (§28.2, "miscellaneous chassis state").
    pub identifies: Option<bool>,
}

/// The state of the identify light is told.
const TELLS_IDENTIFY: u8 = 0x40;
/// It is on for a time, or for good.
const IDENTIFIES: u8 = 0x30;

impl ChassisStatus {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "the chassis status");
        let [power, _, state] = reader.array()?;
        Ok(Self {
            on: power & 1 != 0,
            identifies: (state & TELLS_IDENTIFY != 0).then_some(state & IDENTIFIES != 0),
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 3] {
        let state = match self.identifies {
            None => 0,
            Some(false) => TELLS_IDENTIFY,
            Some(true) => TELLS_IDENTIFY | 0x20,
        };
        // "Always off" as power restore policy.
        [u8::from(self.on), 0, state]
    }
}

/// Data of Chassis Identify (§28.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identify {
    Off,
    /// For so many seconds.
    For(u8),
    /// Until it is switched off.
    On,
}

impl Identify {
    #[must_use]
    pub fn to_bytes(self) -> [u8; 2] {
        match self {
            Self::Off => [0, 0],
            Self::For(seconds) => [seconds, 0],
            Self::On => [0, 1],
        }
    }

    /// Without data a chassis identifies itself for 15 seconds.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        Ok(match data {
            [] => Self::For(15),
            [_, force] if force & 1 != 0 => Self::On,
            [0] | [0, _] => Self::Off,
            [seconds] | [seconds, _] => Self::For(*seconds),
            _ => return Err(Malformed::Length("a request to identify the chassis")),
        })
    }
}

/// What Chassis Control asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Off,
    On,
    Cycle,
    Reset,
    /// An NMI to the processor.
    DiagnosticInterrupt,
    /// A shutdown by the operating system.
    Soft,
}

impl Control {
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::On => 1,
            Self::Cycle => 2,
            Self::Reset => 3,
            Self::DiagnosticInterrupt => 4,
            Self::Soft => 5,
        }
    }

    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        [
            Self::Off,
            Self::On,
            Self::Cycle,
            Self::Reset,
            Self::DiagnosticInterrupt,
            Self::Soft,
        ]
        .into_iter()
        .find(|control| control.number() == number & 0x0f)
    }
}

/// From where to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    /// As the firmware is set up.
    None,
    Pxe,
    Disk,
    Safe,
    Diagnostic,
    Cdrom,
    Setup,
}

const DEVICES: [(BootDevice, u8); 7] = [
    (BootDevice::None, 0),
    (BootDevice::Pxe, 1),
    (BootDevice::Disk, 2),
    (BootDevice::Safe, 3),
    (BootDevice::Diagnostic, 4),
    (BootDevice::Cdrom, 5),
    (BootDevice::Setup, 6),
];

/// The five bytes of the boot flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootFlags {
    /// Whether they are in force at all.
    pub valid: bool,
    /// For each boot, not the next only.
    pub persistent: bool,
    pub efi: bool,
    pub device: BootDevice,
}

impl BootFlags {
    pub const NONE: Self = Self {
        valid: false,
        persistent: false,
        efi: false,
        device: BootDevice::None,
    };

    #[must_use]
    pub fn to_bytes(self) -> [u8; 5] {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let first = bit(self.valid, 0x80) | bit(self.persistent, 0x40) | bit(self.efi, 0x20);
        let device = DEVICES.iter().find(|(device, _)| *device == self.device);
        [first, device.map_or(0, |(_, number)| number << 2), 0, 0, 0]
    }

    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "boot flags";
        let [first, second, ..] = Reader::new(data, WHAT).array::<5>()?;
        let number = second >> 2 & 0x0f;
        let device = DEVICES.iter().find(|(_, code)| *code == number);
        Ok(Self {
            valid: first & 0x80 != 0,
            persistent: first & 0x40 != 0,
            efi: first & 0x20 != 0,
            device: device.ok_or(Malformed::Value(WHAT))?.0,
        })
    }
}
