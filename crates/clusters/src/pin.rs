//! What the machines of a cluster are made from: Releases and documents. All of it is recorded in the ControlPlane's spec
//! before the first machine is made, so that neither another Release nor an edit of a document changes what a machine is
//! without a decision.

use cluster_spec::ClusterBundle;
use kube::ResourceExt;
use resources::gantry::{ClusterDocuments, ControlPlane, OlderRelease, Release, ReleaseSpec};

use crate::plan::{Wanted, is_minor};

/// Releases and documents.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pin {
    /// Name of the Release.
    pub(crate) release_ref: String,
    /// Its content.
    pub(crate) release: ReleaseSpec,
    /// The Release of the worker groups that are one minor version behind.
    pub(crate) older: Option<OlderRelease>,
    /// The documents.
    pub(crate) documents: ClusterDocuments,
}

impl Pin {
    /// Of these Releases: the cluster's, and that of the groups that are behind.
    pub(crate) fn new(own: &Release, older: Option<&Release>, bundle: &ClusterBundle) -> Self {
        Self {
            release_ref: own.name_any(),
            release: own.spec.clone(),
            older: older.map(|older| OlderRelease {
                name: older.name_any(),
                release: older.spec.clone(),
            }),
            documents: bundle.documents(),
        }
    }

    /// The recorded Releases with the documents that are carried out now.
    pub(crate) fn of(control_plane: &ControlPlane, bundle: &ClusterBundle) -> Option<Self> {
        let spec = &control_plane.spec;
        let older = spec.older_release.clone();
        Some(Self {
            release_ref: spec.release_ref.clone()?,
            release: spec.release.clone()?,
            older: older.filter(|older| {
                let minor = bundle.older_version();
                minor.is_some_and(|minor| is_minor(&older.release, minor))
            }),
            documents: bundle.documents(),
        })
    }

    /// The Releases as objects.
    pub(crate) fn releases(&self) -> Vec<Release> {
        let older = self.older.iter();
        let older = older.map(|older| Release::new(&older.name, older.release.clone()));
        let own = Release::new(&self.release_ref, self.release.clone());
        [own].into_iter().chain(older).collect()
    }

    /// The Release of a minor version.
    pub(crate) fn release_of(&self, minor: &str) -> Option<Release> {
        let mut releases = self.releases().into_iter();
        releases.find(|release| is_minor(&release.spec, minor))
    }

    /// What the recorded documents make of a cluster.
    pub(crate) fn recorded(control_plane: &ControlPlane) -> Option<Wanted> {
        let spec = &control_plane.spec;
        let (documents, release) = (spec.documents.as_ref()?, spec.release.as_ref()?);
        let (name, namespace) = (control_plane.name_any(), control_plane.namespace());
        let bundle = ClusterBundle::from_documents(&name, &namespace.unwrap_or_default(), documents);
        let older = spec.older_release.as_ref().map(|older| &older.release);
        Some(Wanted::new(&bundle, release, older))
    }

    /// What is wanted of the documents that are carried out now. A pool keeps the revision that is recorded of it, as long as
    /// nothing that its machines are made of has changed since.
    pub(crate) fn wanted(&self, bundle: &ClusterBundle, known: Option<&ControlPlane>) -> Wanted {
        let older = self.older.as_ref().map(|older| &older.release);
        let mut wanted = Wanted::new(bundle, &self.release, older);
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
            && spec.older_release == self.older
    }
}
