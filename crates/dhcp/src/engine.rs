//! DHCP as a function: packet, view and time in, reply out. No sockets, no clock.

mod answer;
mod binary;
mod boot;
mod client;
mod link;
mod options;
mod packet;
mod reply;
mod reservation;
pub mod router;
mod transactions;

pub use answer::{Action, Destination, Lease, Outcome, Reply, answer};
pub use link::Arrival;
pub use options::{OptionError, Options};
pub use packet::{MessageType, PacketError, Request};
pub use transactions::Transactions;
