//! Named kill points: the places where a crash is worth a test of its own.
//!
//! Owns their list ([`KillPoint`]) and [`reach`], which code calls between a durable write and what follows from it.
//! With `GANTRY_KILL_AT=<name>` in its environment a development build is killed by SIGKILL when it gets there; a
//! release build has no code at all for it. Refuses to do anything softer: no unwinding, no destructor, no flush.
//!
//! Invariant: without the variable a kill point does nothing.
#![forbid(unsafe_code)]

mod point;

pub use point::{KillPoint, reach};
