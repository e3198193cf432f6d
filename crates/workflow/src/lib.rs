//! The workflow engine: Template and Workflow objects in, an installed machine out.
//!
//! Owns: `Workflow.status` (Tinkerbell reference §5.3, §7.2), rendering a Template once into its rows, raising the
//! attempt of the Server (`spec.attempt`, by compare-and-set), `allowPXE` and the BMC Jobs that bring a machine to
//! its installer, timeouts (counted here, never by the agent), and [`WorkflowsService`], by which the agent gets one
//! action at a time and reports on it.
//!
//! Refuses: images without a native action (when rendering, with the field named), actions after the one that leaves
//! the installer, agents whose certificate is not that of the open attempt, and reports that go backwards.
//!
//! Invariants: what an agent is told has been committed before; an action is handed out a second time only with
//! `resumed` set, so that the agent probes first; the action that leaves the installer is handed out only after the
//! machine is disarmed, committed and visible to the boot services.

mod action_log;
mod alarms;
mod context;
mod controller;
pub mod engine;
mod error;
mod parts;
mod service;
mod states;
mod transitions;
mod wake;

pub use context::Context;
pub use controller::WorkflowController;
pub use error::Error;
pub use parts::{Parts, build};
pub use service::WorkflowsService;
