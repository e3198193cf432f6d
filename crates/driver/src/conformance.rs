//! Whether a driver keeps the contract: cases that run its program against its real provider, or against one that is played.
//!
//! Each case starts processes of its own and leaves no machine. Cases that need something that the parameters or the peer's
//! hooks don't offer, or a capability that the driver does not claim, are reported as not run, with the reason.

mod case;
mod cases;
mod driven;
mod hooks;
mod order;
mod parameters;
mod proxy;
mod report;
mod subject;
mod suite;
mod verdict;

pub use hooks::{CommandHooks, Hook, PeerHooks};
pub use parameters::{Missing, Parameters, SpecParameters};
pub use report::{Report, Row};
pub use suite::{Selection, run};
pub use verdict::Verdict;
