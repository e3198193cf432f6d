//! The wire format of IPMI 2.0 over a network, for both ends: the client in `bmc` and the server in `ipmi-server`.
//!
//! Owns: RMCP and session headers (IPMI 2.0 §13.1 to 13.6), the messages that open a session (§13.17 to 13.24), keys,
//! encryption and integrity codes (§13.25 to 13.32), requests and responses (§13.8), and the records that are read by
//! them: chassis status, boot flags, FRU, GUID, device id, sensors (§35, §43), event log (§31, §32).
//!
//! Refuses: the authentication types of IPMI 1.5 and every cipher suite but 3 and 17; in particular suite 0, which
//! proves nothing, and suites without encryption.
//!
//! Invariant: whatever bytes arrive, a parser returns a value or [`Malformed`]; it neither panics nor allocates more than
//! a packet holds. Codes are compared in constant time, and nothing of a sealed packet is used before its code fits.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod authentication;
mod chassis;
mod command;
mod completion;
mod device;
mod fru;
mod guid;
mod handshake;
mod keys;
mod malformed;
mod message;
mod names;
mod packet;
mod reader;
mod reading;
mod sdr;
mod sel;
mod suite;
mod text;
mod window;

pub use authentication::{ChannelAuthentication, channel_authentication_request};
pub use chassis::{BootDevice, BootFlags, ChassisStatus, Control, Identify, boot_parameter};
pub use command::{Command, NetFn};
pub use completion::Completion;
pub use device::DeviceId;
pub use fru::{FruArea, FruPart, ProductInfo};
pub use guid::{host_uuid, wire_guid};
pub use handshake::{
    OpenSessionRequest, OpenSessionResponse, Privilege, Rakp1, Rakp2, Rakp3, Rakp4, Role, Status,
};
pub use keys::{Exchange, SessionKeys, random};
pub use malformed::Malformed;
pub use message::{Request, Response};
pub use names::{Severity, State, sensor_kind, state, threshold_severity, unit};
pub use packet::{MAX_PACKET, Packet, PayloadType};
pub use reading::{Factors, Format, Linear, SensorReading};
pub use sdr::{
    FIRST_RECORD, LAST_RECORD, Measure, SDR_HEADER, SdrInfo, SdrPart, SdrRequest, SensorRecord, THRESHOLD,
    Thresholds, sdr_length,
};
pub use sel::{
    FIRST_ENTRY, LAST_ENTRY, SelEntry, SelInfo, SelRecord, SystemEvent, sel_entry_asked, sel_entry_request,
};
pub use suite::CipherSuite;
pub use window::Window;
