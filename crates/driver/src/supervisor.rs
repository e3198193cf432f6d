//! The processes of drivers, from the core's side: started, watched, restarted, replaced and stopped.
//!
//! One [`Supervisor`] keeps one driver running. What the rest of the core sees of it is a [`DriverStatus`] and, while the
//! driver is ready, a channel for calls. A call that is under way when the process ends fails as UNAVAILABLE or UNKNOWN; the
//! contract has an answer to that, so a restart loses nothing.

mod channel;
mod configuration;
mod error;
mod group;
mod log;
mod process;
mod restarts;
mod starting;
mod status;
mod watching;

pub use configuration::{DriverConfiguration, Launcher, SupervisorSettings};
pub use error::StartError;
pub use log::{DriverLog, LogLine};
pub use process::DriverProcess;
pub use restarts::{Next, RestartPolicy, Restarts};
pub use status::{DriverPhase, DriverStatus, Isolation, NotReady};
pub use watching::Supervisor;
