//! TFTP as functions: a packet and the time in, packets and the next deadline out. No sockets, no clock.

mod places;
mod request;
mod transfer;

pub use places::{Admission, Limits, Place, Places, Standing};
pub use request::{Options, Packet, Problem, ReadRequest, error_packet};
pub use transfer::{Outcome, Step, Transfer};
