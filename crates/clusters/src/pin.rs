//! What the machines of a cluster are made from: a Release and documents. Both are recorded in the ControlPlane's spec
//! before the first machine is made, so that neither another Release nor an edit of a document changes what a machine is
//! without a decision.

use cluster_spec::ClusterBundle;
use kube::ResourceExt;
use resources::gantry::{ClusterDocuments, ControlPlane, Release, ReleaseSpec};

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
    pub(crate) fn new(release: &Release, bundle: &ClusterBundle) -> Self {
        Self {
            release_ref: release.name_any(),
            release: release.spec.clone(),
            documents: bundle.documents(),
        }
    }

    /// The recorded Release with the documents that are carried out now.
    pub(crate) fn of(control_plane: &ControlPlane, bundle: &ClusterBundle) -> Option<Self> {
        let spec = &control_plane.spec;
        Some(Self {
            release_ref: spec.release_ref.clone()?,
            release: spec.release.clone()?,
            documents: bundle.documents(),
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
