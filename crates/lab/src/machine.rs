//! One machine: an actor that owns its QEMU process, its firmware variables and its BMC's view of both.
//!
//! Power off is no process, power on is one. Invariant: at most one process for a machine, and the state that the BMC
//! shows changes only after the process has.

mod actor;
mod bay;
mod monitor;
mod state;

pub(crate) use actor::{MachineHandle, Refusal, spawn};
pub(crate) use bay::Bay;
pub(crate) use state::{BootOverride, Enabled, Logged, MachineState, ResetKind, Target};
