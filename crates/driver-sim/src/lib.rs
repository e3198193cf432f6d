//! What tests put behind the contract of drivers.
//!
//! Owns a provider of machines in memory ([`MemoryProvider`]), which is served by HTTP and outlives the processes of its
//! drivers, and the reference driver for it ([`MemoryDriver`]). As real ones are, the provider is slow to boot machines,
//! knows sessions, refuses what it does not know, and has names that are taken. Two programs belong to it: `memory-driver`,
//! which can also break the contract in one named way ([`Breach`]), and `driver-launcher`, which becomes a driver.
//!
//! Invariant: the provider decides nothing by who asks; marks of ownership are text for it.
#![forbid(unsafe_code)]

mod breach;
mod client;
mod hooks;
mod memory;
mod reference;

pub use breach::Breach;
pub use hooks::MemoryHooks;
pub use memory::{MemoryProvider, NewObject, Object, ObjectPower, PASSWORD, Trouble};
pub use reference::MemoryDriver;
