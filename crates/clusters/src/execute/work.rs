//! What effects work with.

use jiff::Timestamp;
use kube::ResourceExt as _;
use node_config::Profile;
use resources::anywhere::Cluster;
use resources::gantry::{Plan, ReleaseSpec};

use crate::access::Access;
use crate::observe::{Connection, Snapshot};
use crate::options::Options;
use crate::pin::Pin;

/// Annotation on a Cluster: `lab` asks for probes and elections that bear slow machines.
pub const PROFILE_ANNOTATION: &str = "gantry.dev/profile";

/// One decision's surroundings.
pub(crate) struct Work<'a> {
    pub(crate) access: &'a Access,
    pub(crate) options: &'a Options,
    pub(crate) profile: Profile,
    /// What machines are made from; `None` while the cluster is being deleted.
    pub(crate) pin: Option<&'a Pin>,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) connection: Option<&'a Connection>,
    /// The plan that is carried out.
    pub(crate) plan: &'a Plan,
    pub(crate) now: Timestamp,
}

impl Work<'_> {
    /// The Release of machines with this version of Kubernetes, such as `v1.35.4`: that of the groups that are behind, or the
    /// cluster's.
    pub(crate) fn release(&self, version: &str) -> ReleaseSpec {
        let Some(pin) = self.pin else {
            return ReleaseSpec::default();
        };
        let older = pin.older.as_ref().map(|older| &older.release);
        let older = older.filter(|older| older.patch_version == version);
        older.unwrap_or(&pin.release).clone()
    }
}

/// The profile of a cluster; `ordinary` is that of clusters that do not name one.
pub(crate) fn profile(cluster: &Cluster, ordinary: Profile) -> Profile {
    match cluster.annotations().get(PROFILE_ANNOTATION).map(String::as_str) {
        Some("lab") => Profile::Lab,
        Some("standard") => Profile::Standard,
        _ => ordinary,
    }
}
