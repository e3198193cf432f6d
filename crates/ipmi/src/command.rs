//! The commands that this implementation knows, by function and number (IPMI 2.0 appendix G).

use std::fmt;

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetFn {
    Chassis,
    SensorEvent,
    App,
    Storage,
}

impl NetFn {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Chassis => 0,
            Self::SensorEvent => 4,
            Self::App => 6,
            Self::Storage => 10,
        }
    }
}

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    ChassisStatus,
    ChassisControl,
    ChassisIdentify,
    SetBootOptions,
    GetBootOptions,
    ReadingFactors,
    SensorThresholds,
    SensorReading,
    DeviceId,
    DeviceGuid,
    SystemGuid,
    ChannelAuthentication,
    SetPrivilege,
    CloseSession,
    CipherSuites,
    FruArea,
    ReadFru,
    SdrInfo,
    ReserveSdr,
    GetSdr,
    SelInfo,
    ReserveSel,
    GetSelEntry,
    SelTime,
}

const COMMANDS: [(Command, NetFn, u8, &str); 24] = [
    (Command::ChassisStatus, NetFn::Chassis, 0x01, "Get Chassis Status"),
    (Command::ChassisControl, NetFn::Chassis, 0x02, "Chassis Control"),
    (Command::ChassisIdentify, NetFn::Chassis, 0x04, "Chassis Identify"),
    (
        Command::SetBootOptions,
        NetFn::Chassis,
        0x08,
        "Set System Boot Options",
    ),
    (
        Command::GetBootOptions,
        NetFn::Chassis,
        0x09,
        "Get System Boot Options",
    ),
    (
        Command::ReadingFactors,
        NetFn::SensorEvent,
        0x23,
        "Get Sensor Reading Factors",
    ),
    (
        Command::SensorThresholds,
        NetFn::SensorEvent,
        0x27,
        "Get Sensor Thresholds",
    ),
    (
        Command::SensorReading,
        NetFn::SensorEvent,
        0x2d,
        "Get Sensor Reading",
    ),
    (Command::DeviceId, NetFn::App, 0x01, "Get Device ID"),
    (Command::DeviceGuid, NetFn::App, 0x08, "Get Device GUID"),
    (Command::SystemGuid, NetFn::App, 0x37, "Get System GUID"),
    (
        Command::ChannelAuthentication,
        NetFn::App,
        0x38,
        "Get Channel Authentication Capabilities",
    ),
    (
        Command::SetPrivilege,
        NetFn::App,
        0x3b,
        "Set Session Privilege Level",
    ),
    (Command::CloseSession, NetFn::App, 0x3c, "Close Session"),
    (
        Command::CipherSuites,
        NetFn::App,
        0x54,
        "Get Channel Cipher Suites",
    ),
    (
        Command::FruArea,
        NetFn::Storage,
        0x10,
        "Get FRU Inventory Area Info",
    ),
    (Command::ReadFru, NetFn::Storage, 0x11, "Read FRU Data"),
    (Command::SdrInfo, NetFn::Storage, 0x20, "Get SDR Repository Info"),
    (
        Command::ReserveSdr,
        NetFn::Storage,
        0x22,
        "Reserve SDR Repository",
    ),
    (Command::GetSdr, NetFn::Storage, 0x23, "Get SDR"),
    (Command::SelInfo, NetFn::Storage, 0x40, "Get SEL Info"),
    (Command::ReserveSel, NetFn::Storage, 0x42, "Reserve SEL"),
    (Command::GetSelEntry, NetFn::Storage, 0x43, "Get SEL Entry"),
    (Command::SelTime, NetFn::Storage, 0x48, "Get SEL Time"),
];

impl Command {
    /// The command of a function and number, both as they stand in a request.
    #[must_use]
    pub fn of(function: u8, number: u8) -> Option<Self> {
        COMMANDS
            .iter()
            .find(|(_, netfn, code, _)| netfn.number() == function && *code == number)
            .map(|(command, ..)| *command)
    }

    pub(crate) fn numbers(self) -> (u8, u8) {
        COMMANDS
            .iter()
            .find(|(command, ..)| *command == self)
            .map_or((0, 0), |(_, netfn, code, _)| (netfn.number(), *code))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = COMMANDS.iter().find(|(command, ..)| command == self);
        f.write_str(row.map_or("a command", |(.., name)| name))
    }
}
