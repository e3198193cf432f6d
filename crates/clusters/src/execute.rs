//! Carries a Plan out: the steps whose predecessors are done are decided over one snapshot, and their effects are done.

mod bootstrap;
mod carry_on;
mod decision;
mod disruption;
mod effects;
mod gates;
mod in_cluster;
mod labels_and_taints;
mod machines;
mod progress;
mod renewals;
mod saving;
mod snapshot_copies;
mod snapshot_tries;
mod snapshots;
mod states;
mod step_run;
mod succession;
mod token;
mod work;
mod worker_groups;

pub(crate) use carry_on::carry_on;
pub(crate) use labels_and_taints::{Kept, keep_labels_and_taints, node_keys};
pub(crate) use machines::{make_control_plane, make_image, make_provider_cluster};
pub use progress::Progress;
pub(crate) use renewals::{drop_renewals, renew_kubeconfig};
pub(crate) use saving::{GivenUp, abandon, forget, give_up};
pub(crate) use snapshot_copies::{CopyJobs, copy_due};
pub(crate) use snapshot_tries::{SnapshotTries, What};
pub(crate) use snapshots::{Due, take_due};
pub(crate) use succession::REST;
pub use succession::{dropped, inherited_approval, needs_another, superseded};
pub(crate) use work::Work;
pub(crate) use worker_groups::make_worker_groups;

/// Annotation on a Cluster: `lab` asks for probes and elections that bear slow machines.
pub const PROFILE_ANNOTATION: &str = "gantry.dev/profile";
