//! Carries a Plan out: a snapshot, a decision for the step at hand, its effect, and again.

mod access;
mod connections;
mod coordinator;
mod documents;
mod effects;
mod look;
mod machines;
mod mint;
mod new_cluster;
mod pin;
mod pki_secrets;
mod progress;
mod round;
mod snapshot;
mod states;
mod status;
mod tell;
mod token;
mod words;

pub use coordinator::{Coordinator, run_coordinator};
pub use new_cluster::{Failure, KubeNewClusters, NewCluster, NewClusters, NodeView, SystemView};
pub use snapshot::{AddressProbe, Options};

/// Annotation on a Cluster: `lab` asks for probes and elections that bear slow machines.
pub const PROFILE_ANNOTATION: &str = "gantry.dev/profile";
/// Annotation on a Plan: who approved it.
pub(crate) const APPROVED_BY: &str = "gantry.dev/approved-by";
/// Annotations on a bootstrap Secret: id of the token in it and when it ends.
pub(crate) const TOKEN_ID: &str = "gantry.dev/token-id";
pub(crate) const TOKEN_EXPIRES: &str = "gantry.dev/token-expires";
/// Annotation on a bootstrap Secret: when the installation that it was made for asked for it.
pub(crate) const REQUESTED_AT: &str = "gantry.dev/requested-at";

/// Name of a machine's bootstrap Secret.
pub(crate) fn bootstrap_secret(machine: &str) -> String {
    format!("{machine}{BOOTSTRAP}")
}

/// The machine whose bootstrap Secret has this name.
pub(crate) fn bootstrap_machine(secret: &str) -> Option<&str> {
    secret.strip_suffix(BOOTSTRAP)
}

const BOOTSTRAP: &str = "-bootstrap";
