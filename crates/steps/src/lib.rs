//! One contract for every state machine.
//!
//! A controller describes itself as a [`StateMachine`]: it observes a snapshot, a pure decision makes one [`Step`] of
//! the snapshot and the time, and [`run`] carries the step out until the machine rests:
//!
//! ```text
//! observe -> decide -+- Go: enter the state -> decide
//!    ^               +- Do: commit -> Events, metrics -> effect -.
//!    |               |                                           |
//!    '---------------|-------------------------------------------'
//!                    +- Wait, Done: commit -> Events, metrics -> rest
//! ```
//!
//! Owns: the vocabulary of decisions, the [`Record`] that every status has (state, since, reason, deadline, percent),
//! when a deadline moves, the bound on rounds, and the metrics of states and transitions. Refuses: I/O of its own; all of
//! it comes in through the trait, and so does the clock.
//!
//! Invariants: a state is committed before anything is done in it; every wait has an end; an object at rest whose
//! decision has not changed is not written and reports nothing.
#![forbid(unsafe_code)]

mod interpreter;
mod machine;
mod metrics;
mod record;
mod step;
mod transition;

pub use crate::metrics::describe_metrics;
pub use interpreter::{Rest, run};
pub use machine::{Commit, StateMachine, StepOf};
pub use record::Record;
pub use step::{Step, later, minutes_after, pause_after};
pub use transition::{StateName, Transition};
