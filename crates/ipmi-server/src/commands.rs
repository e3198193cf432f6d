//! The commands, each on the data of its request.

use std::net::SocketAddr;

use ipmi::{
    BootFlags, ChannelAuthentication, ChassisStatus, CipherSuite, Command, Completion, Control, Identify,
    Privilege, Request, boot_parameter,
};

use crate::answer::Answer;
use crate::chassis::{Chassis, Profile};
use crate::hardware;

/// The channel that the network is.
const CHANNEL: u8 = 1;

/// Whether a command can be asked outside of sessions.
pub(crate) fn needs_no_session(command: Command) -> bool {
    matches!(
        command,
        Command::ChannelAuthentication | Command::CipherSuites | Command::SystemGuid
    )
}

fn needed(command: Command) -> Privilege {
    match command {
        Command::ChassisControl
        | Command::ChassisIdentify
        | Command::SetBootOptions
        | Command::GetBootOptions => Privilege::Operator,
        _ => Privilege::User,
    }
}

/// Who asks: what it may do, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) privilege: Privilege,
    pub(crate) peer: SocketAddr,
}

/// Does a command of a session, or of nobody.
pub(crate) async fn execute(
    request: &Request,
    asker: Asker,
    profile: &Profile,
    chassis: &dyn Chassis,
) -> Answer {
    let command = request.command().ok_or(Completion::INVALID_COMMAND)?;
    if asker.privilege < needed(command) {
        return Err(Completion::INSUFFICIENT_PRIVILEGE);
    }
    let data = request.data.as_slice();
    match command {
        Command::ChassisStatus => {
            let status = ChassisStatus {
                on: chassis.is_on(),
                identifies: Some(chassis.identifies()),
            };
            Ok(status.to_bytes().to_vec())
        }
        Command::ChassisIdentify => {
            let identify = Identify::parse(data).map_err(|_| Completion::LENGTH)?;
            chassis.identify(identify, asker.peer).await.map(|()| Vec::new())
        }
        Command::ChassisControl => {
            let [number] = data else {
                return Err(Completion::LENGTH);
            };
            let control = Control::of(*number).ok_or(Completion::INVALID_FIELD)?;
            chassis.control(control, asker.peer).await.map(|()| Vec::new())
        }
        Command::GetBootOptions => boot_options(data, chassis),
        Command::SetBootOptions => set_boot_options(data, asker.peer, chassis).await,
        Command::DeviceId => Ok(profile.device.to_bytes().to_vec()),
        Command::DeviceGuid | Command::SystemGuid => Ok(chassis.identity().guid.to_vec()),
        Command::ChannelAuthentication => Ok(authentication(profile)),
        Command::CipherSuites => Ok(cipher_suites(data, profile)),
        Command::FruArea | Command::ReadFru if !profile.device.has_fru => Err(Completion::INVALID_COMMAND),
        Command::FruArea => {
            let size = u16::try_from(fru(data, chassis)?.len()).unwrap_or(u16::MAX);
            let [low, high] = size.to_le_bytes();
            Ok(vec![low, high, 0])
        }
        Command::ReadFru => read_fru(data, chassis),
        Command::SensorReading
        | Command::SensorThresholds
        | Command::ReadingFactors
        | Command::SdrInfo
        | Command::ReserveSdr
        | Command::GetSdr => hardware::sensors(command, data, profile, &chassis.sensors()),
        Command::SelInfo | Command::ReserveSel | Command::GetSelEntry | Command::SelTime => {
            hardware::events(command, data, profile, &chassis.events())
        }
        // These change the session and are done where it is.
        Command::SetPrivilege | Command::CloseSession => Err(Completion::INVALID_COMMAND),
    }
}

fn authentication(profile: &Profile) -> Vec<u8> {
    let capabilities = ChannelAuthentication {
        channel: CHANNEL,
        rmcp_plus: profile.rmcp_plus,
        unauthenticated: false,
        anonymous: false,
        bmc_key: false,
    };
    capabilities.to_bytes().to_vec()
}

/// The records of the suites, sixteen bytes at a time.
fn cipher_suites(data: &[u8], profile: &Profile) -> Vec<u8> {
    let record = |suite: &CipherSuite| match suite {
        CipherSuite::Three => [0xc0, 3, 0x01, 0x41, 0x81],
        CipherSuite::Seventeen => [0xc0, 17, 0x03, 0x44, 0x81],
    };
    let records: Vec<u8> = profile.suites.iter().flat_map(record).collect();
    let index = data.get(2).map_or(0, |list| usize::from(list & 0x3f));
    let part = records.chunks(16).nth(index).unwrap_or_default();
    [&[CHANNEL], part].concat()
}

fn boot_options(data: &[u8], chassis: &dyn Chassis) -> Answer {
    let [parameter, ..] = data else {
        return Err(Completion::LENGTH);
    };
    let parameter = parameter & 0x7f;
    let value: &[u8] = match parameter {
        0 | boot_parameter::CLEARING => &[0],
        4 => &[0, 0],
        boot_parameter::FLAGS => &chassis.boot_flags().to_bytes(),
        _ => return Err(Completion::PARAMETER_UNSUPPORTED),
    };
    Ok([&[1, parameter], value].concat())
}

async fn set_boot_options(data: &[u8], peer: SocketAddr, chassis: &dyn Chassis) -> Answer {
    let [parameter, value @ ..] = data else {
        return Err(Completion::LENGTH);
    };
    match parameter & 0x7f {
        // Flags stay until a boot uses them, and nobody else sets them meanwhile.
        0 | boot_parameter::CLEARING | 4 => Ok(Vec::new()),
        boot_parameter::FLAGS => {
            let flags = BootFlags::parse(value).map_err(|_| Completion::INVALID_FIELD)?;
            chassis.set_boot_flags(flags, peer).await.map(|()| Vec::new())
        }
        _ => Err(Completion::PARAMETER_UNSUPPORTED),
    }
}

/// The bytes of the one FRU that there is.
fn fru(data: &[u8], chassis: &dyn Chassis) -> Answer {
    match data {
        [0, ..] => Ok(chassis.identity().product.to_fru()),
        [] => Err(Completion::LENGTH),
        _ => Err(Completion::NOT_PRESENT),
    }
}

fn read_fru(data: &[u8], chassis: &dyn Chassis) -> Answer {
    let [_, low, high, count] = data else {
        return Err(Completion::LENGTH);
    };
    let bytes = fru(data, chassis)?;
    let offset = usize::from(u16::from_le_bytes([*low, *high]));
    let rest = bytes.get(offset..).ok_or(Completion::OUT_OF_RANGE)?;
    let part: Vec<u8> = rest.iter().copied().take(usize::from(*count).min(64)).collect();
    let count = u8::try_from(part.len()).unwrap_or_default();
    Ok([&[count], part.as_slice()].concat())
}
