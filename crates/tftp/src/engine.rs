//! TFTP as functions: a packet and the time in, packets and the next deadline out. No sockets, no clock.

mod request;
mod transfer;

pub use request::{Options, Packet, Problem, ReadRequest, error_packet};
pub use transfer::{Outcome, Step, Transfer};
