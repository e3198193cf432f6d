//! The virtual rack: QEMU machines with real firmware, blank disks and virtual BMCs on private networks.
//!
//! Owns: the plan of a rack ([`RackPlan`], everything from one seed), its namespaces and bridges, the machines'
//! processes, firmware variables and disks, the BMCs (Redfish and IPMI), and what observes them from outside.
//!
//! The appliance under test sees a rack only by network and BMC: it runs in the *site* namespace
//! ([`site_command`]) and is never handed a monitor socket, a disk file or this crate's state.
//!
//! Refuses: reaching the host's networks (no route leads out of a rack), sharing a rack id, and leaving anything
//! behind: processes die with their supervisor, and [`down`] and [`up`] clear what a crash left.

mod command_log;
mod console;
mod error;
mod hardware;
mod ipmi;
mod kvm;
mod machine;
mod namespace;
mod nvram;
mod observer;
mod options;
mod paths;
mod plan;
mod process;
mod rack;
mod redfish;
mod status;
mod supervisor;

pub use command_log::CommandRecord;
pub use console::console;
pub use error::Error;
pub use observer::{Capture, disk_fingerprint, is_blank, range_digest};
pub use options::{Accelerator, DownOptions, Firmware, UpOptions};
pub use paths::{RackPaths, state_root};
pub use plan::{Facts, MachineFacts, MachinePlan, RackPlan, Role};
pub use process::in_namespace;
pub use rack::{Progress, Rack};
pub use status::{MachineStatus, Power, RackStatus, find, list, status};
pub use supervisor::{down, run_in_appliance, site_command, supervise, up};
