//! What the machines of a cluster are made from: a Release and documents. Both are recorded in the ControlPlane's spec
//! before the first machine is made, so that neither another Release nor an edit of a document changes what a machine is
//! without a decision.

use cluster_spec::ClusterBundle;
use kube::ResourceExt;
use resources::gantry::{ClusterDocuments, ControlPlane, Release, ReleaseSpec};

use crate::plan::Wanted;

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

    /// What the recorded documents make of a cluster.
    pub(crate) fn recorded(control_plane: &ControlPlane) -> Option<Wanted> {
        let spec = &control_plane.spec;
        let (documents, release) = (spec.documents.as_ref()?, spec.release.as_ref()?);
        let (name, namespace) = (control_plane.name_any(), control_plane.namespace());
        let bundle = ClusterBundle::from_documents(&name, &namespace.unwrap_or_default(), documents);
        Some(Wanted::new(&bundle, release))
    }

    /// What is wanted of the documents that are carried out now. A pool keeps the revision that is recorded of it, as long as
    /// nothing that its machines are made of has changed since.
    pub(crate) fn wanted(&self, bundle: &ClusterBundle, known: Option<&ControlPlane>) -> Wanted {
        let mut wanted = Wanted::new(bundle, &self.release);
        let Some(known) = known else {
            return wanted;
        };
        if wanted.revisions() != known.spec.revisions
            && let Some(before) = Self::recorded(known)
        {
            wanted.keep_revisions(&known.spec.revisions, &before);
        }
        wanted
    }

    /// Whether this is what the ControlPlane has recorded.
    pub(crate) fn is_recorded(&self, control_plane: &ControlPlane, wanted: &Wanted) -> bool {
        let spec = &control_plane.spec;
        spec.revisions == wanted.revisions()
            && spec.documents.as_deref() == Some(&self.documents)
            && spec.release.as_ref() == Some(&self.release)
            && spec.release_ref.as_ref() == Some(&self.release_ref)
    }
}
