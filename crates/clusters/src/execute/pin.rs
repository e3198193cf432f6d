//! What the machines of a cluster are made from: a Release and documents. Both are recorded in the ControlPlane's spec
//! before the first machine is made, so that neither another Release nor an edit of a document changes what a machine is
//! without a decision.

use cluster_spec::ClusterBundle;
use kube::ResourceExt;
use resources::gantry::{ClusterDocuments, ControlPlane, Release, ReleaseSpec};

use super::snapshot::Snapshot;

/// Release and documents.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pin {
    /// Name of the Release.
    pub(crate) release_ref: String,
    /// Its content.
    pub(crate) release: ReleaseSpec,
    /// The documents.
    pub(crate) documents: ClusterDocuments,
}

impl Pin {
    /// For a cluster that has none yet.
    pub(crate) fn new(release: &Release, bundle: &ClusterBundle, snapshot: &Snapshot) -> Self {
        Self {
            release_ref: release.name_any(),
            release: release.spec.clone(),
            documents: documents(bundle, 1, snapshot),
        }
    }

    /// The recorded Release with the documents that are carried out now.
    pub(crate) fn of(
        control_plane: &ControlPlane,
        bundle: &ClusterBundle,
        snapshot: &Snapshot,
    ) -> Option<Self> {
        let spec = &control_plane.spec;
        let recorded = spec.documents.as_deref()?;
        let members = recorded.cluster.control_plane_configuration.count;
        Some(Self {
            release_ref: spec.release_ref.clone()?,
            release: spec.release.clone()?,
            documents: documents(bundle, members, snapshot),
        })
    }

    /// Whether this is what the ControlPlane has recorded.
    pub(crate) fn is_recorded(&self, control_plane: &ControlPlane) -> bool {
        let spec = &control_plane.spec;
        spec.documents.as_deref() == Some(&self.documents)
            && spec.release.as_ref() == Some(&self.release)
            && spec.release_ref.as_ref() == Some(&self.release_ref)
    }
}

/// The documents to record. A control plane that is to grow has as many members as were made: until then the wish can be
/// taken back.
fn documents(bundle: &ClusterBundle, recorded: i32, snapshot: &Snapshot) -> ClusterDocuments {
    let mut documents = bundle.documents();
    let made = snapshot
        .existing()
        .iter()
        .filter(|machine| snapshot.is_control_plane(machine))
        .count();
    documents.cluster.control_plane_configuration.count =
        recorded.max(i32::try_from(made).unwrap_or(i32::MAX));
    documents
}
