//! The wire format of IPMI 2.0 over a network, for both ends: the client in `bmc` and the server in `ipmi-server`.
//!
//! Owns: RMCP and session headers (IPMI 2.0 §13.1 to 13.6), the messages that open a session (§13.17 to 13.24), keys,
//! encryption and integrity codes (§13.25 to 13.32), requests and responses (§13.8), and the records that are read by
//! them: chassis status, boot flags, FRU, GUID.
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
mod fru;
mod guid;
mod handshake;
mod keys;
mod malformed;
mod message;
mod packet;
mod reader;
mod suite;
mod window;

pub use authentication::{ChannelAuthentication, channel_authentication_request};
pub use chassis::{BootDevice, BootFlags, ChassisStatus, Control, boot_parameter};
pub use command::{Command, NetFn};
pub use completion::Completion;
pub use fru::{FruArea, ProductInfo, product_area};
pub use guid::{host_uuid, wire_guid};
pub use handshake::{
    OpenSessionRequest, OpenSessionResponse, Privilege, Rakp1, Rakp2, Rakp3, Rakp4, Role, Status,
};
pub use keys::{Exchange, SessionKeys, random};
pub use malformed::Malformed;
pub use message::{Request, Response};
pub use packet::{MAX_PACKET, Packet, PayloadType};
pub use suite::CipherSuite;
pub use window::Window;
