//! What effects work with.

use jiff::Timestamp;
use node_config::Profile;
use resources::gantry::{Plan, ReleaseSpec};

use crate::access::Access;
use crate::observe::{Connection, Snapshot};
use crate::options::Options;
use crate::pin::Pin;

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
    /// The Release of the cluster.
    pub(crate) fn release(&self) -> ReleaseSpec {
        self.pin.map(|pin| pin.release.clone()).unwrap_or_default()
    }
}
