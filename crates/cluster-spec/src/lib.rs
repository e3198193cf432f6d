//! Cluster YAML as EKS Anywhere's bare-metal users have it: Cluster, TinkerbellDatacenterConfig, TinkerbellMachineConfig
//! and TinkerbellTemplateConfig in one file of several documents.
//!
//! Owns reading with places ([`parse`]), EKS Anywhere's defaults, the rules that need nothing but the documents and
//! the known Releases ([`validate`]), the checks against free hardware ([`check_hardware`]) and against everybody else's
//! addresses ([`check_surroundings`]), and the rules for changes ([`check_update`]). All of it is pure; the controller runs the same rules on objects that the command line runs on
//! files. Two supersets of EKS Anywhere: `osFamily: debian` and `cniConfig: {flannel: {}}`.
//!
//! Refuses: unknown fields, and known fields that this version does not carry out. A field that would be ignored is an
//! error, never a silence.
//!
//! Invariant: [`parse`] returns every fault of the file at once, each with line, column and next step.
#![forbid(unsafe_code)]

mod bundle;
mod defaults;
mod documents;
mod hardware;
mod node;
mod problem;
mod rules;
mod scalar;
mod schema;
mod surroundings;
mod update;
mod violation;
mod vrrp;

pub use bundle::{ClusterBundle, Group, selector_terms};
pub use defaults::with_defaults;
pub use documents::parse;
pub use hardware::{FreeHardware, check_hardware};
pub use problem::{Problem, Problems};
pub use rules::validate;
pub use surroundings::{Surroundings, check_surroundings};
pub use update::check_update;
pub use violation::Violation;
pub use vrrp::vrrp_id;
