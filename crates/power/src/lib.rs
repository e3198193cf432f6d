//! Controllers for `bmc.tinkerbell.org`: Machine (what a BMC says), Job (actions in order) and Task (one action).
//!
//! Owns the status of these three kinds. Each machine has one arbiter: of all open Jobs of a machine the oldest has
//! its turn, the others wait and say for whom; a Job that comes from outside while an attempt is open on the machine
//! waits for the attempt's end. An action counts as done when the BMC shows it: off is confirmed off, a boot source is
//! read back, on is confirmed on.
//!
//! Refuses: to repeat a reset or power cycle whose outcome a restart of this process has hidden, actions that no BMC
//! client here can verify (virtual media), and BMCs whose certificate is neither pinned nor
//! waived, and IPMI with a BMC whose Machine does not name it. A power change from outside is reported, never corrected.
#![forbid(unsafe_code)]

mod alarms;
mod connect;
mod contacts;
mod controller;
mod engine;
mod error;
mod server;
mod status;

pub use controller::{PowerOptions, run};
pub use error::Error;
