//! Which writes of a cluster's documents are refused, as a function of the write and of the objects beside it. The
//! embedded API calls it on every write, so that `kubectl`, GitOps and the command line meet the same rules.

#[cfg(test)]
mod tests;
mod worker_groups;

use std::collections::BTreeSet;

use kube::ResourceExt;
use resources::anywhere::{
    Cluster, DockerDatacenterConfig, ObjectRef, OidcConfig, TinkerbellDatacenterConfig,
    TinkerbellMachineConfig, TinkerbellTemplateConfig, VSphereDatacenterConfig, VSphereMachineConfig,
};
use resources::gantry::{ControlPlane, Release};
use serde_json::Value;

use crate::bundle::{ClusterBundle, OIDC};
use crate::defaults::with_defaults;
use crate::rules::{address_holder_faults, machine_groups, validate};
use crate::update::update;
use crate::violation::{Report, Violation};
use crate::virtual_site::VirtualSite;

pub use worker_groups::{
    admit_capi_cluster_deletion, admit_machine_deployment, admit_new_worker_group,
    admit_worker_group_deletion,
};

/// A document of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// Cluster.
    Cluster(Box<Cluster>),
    /// TinkerbellDatacenterConfig.
    Datacenter(Box<TinkerbellDatacenterConfig>),
    /// TinkerbellMachineConfig.
    MachineConfig(Box<TinkerbellMachineConfig>),
    /// TinkerbellTemplateConfig.
    Template(Box<TinkerbellTemplateConfig>),
    /// OIDCConfig.
    Oidc(Box<OidcConfig>),
    /// DockerDatacenterConfig.
    DockerDatacenter(Box<DockerDatacenterConfig>),
    /// VSphereDatacenterConfig.
    VSphereDatacenter(Box<VSphereDatacenterConfig>),
    /// VSphereMachineConfig.
    VSphereMachineConfig(Box<VSphereMachineConfig>),
}

impl Document {
    /// Reads an object of `anywhere.eks.amazonaws.com`; `None` when it is of another kind, or does not fit its schema,
    /// which says so better.
    #[must_use]
    pub fn read(kind: &str, object: &Value) -> Option<Self> {
        fn parse<T: serde::de::DeserializeOwned>(object: &Value) -> Option<Box<T>> {
            T::deserialize(object).ok().map(Box::new)
        }
        match kind {
            "Cluster" => parse(object).map(Self::Cluster),
            "TinkerbellDatacenterConfig" => parse(object).map(Self::Datacenter),
            "TinkerbellMachineConfig" => parse(object).map(Self::MachineConfig),
            "TinkerbellTemplateConfig" => parse(object).map(Self::Template),
            OIDC => parse(object).map(Self::Oidc),
            "DockerDatacenterConfig" => parse(object).map(Self::DockerDatacenter),
            "VSphereDatacenterConfig" => parse(object).map(Self::VSphereDatacenter),
            "VSphereMachineConfig" => parse(object).map(Self::VSphereMachineConfig),
            _ => None,
        }
    }

    /// The bundle with this document in it; `None` when the cluster has none of its kind and name.
    fn within(&self, bundle: &ClusterBundle) -> Option<ClusterBundle> {
        let mut bundle = bundle.clone();
        match self {
            Self::Cluster(cluster) if cluster.name_any() == bundle.name() => {
                bundle.cluster = (**cluster).clone();
            }
            Self::Datacenter(datacenter)
                if bundle.virtual_site.is_none() && datacenter.name_any() == bundle.datacenter.name_any() =>
            {
                bundle.datacenter = (**datacenter).clone();
            }
            Self::MachineConfig(config) => {
                *bundle.machine_configs.get_mut(&config.name_any())? = (**config).clone();
            }
            Self::Template(template) => {
                *bundle.templates.get_mut(&template.name_any())? = (**template).clone();
            }
            Self::Oidc(provider) => {
                *bundle.oidc_configs.get_mut(&provider.name_any())? = (**provider).clone();
            }
            Self::DockerDatacenter(_) | Self::VSphereDatacenter(_) | Self::VSphereMachineConfig(_) => {
                self.within_virtual_site(bundle.virtual_site.as_mut()?)?;
            }
            Self::Cluster(_) | Self::Datacenter(_) => return None,
        }
        Some(with_defaults(bundle))
    }

    /// Puts a document of virtual machines into those of its cluster; `None` when there is none of its kind and name.
    fn within_virtual_site(&self, site: &mut VirtualSite) -> Option<()> {
        let name = site.name();
        match (self, site) {
            (Self::DockerDatacenter(new), VirtualSite::Docker(known)) if new.name_any() == name => {
                **known = (**new).clone();
            }
            (Self::VSphereDatacenter(new), VirtualSite::VSphere(known)) if new.name_any() == name => {
                known.datacenter = (**new).clone();
            }
            (Self::VSphereMachineConfig(new), VirtualSite::VSphere(known)) => {
                *known.machine_configs.get_mut(&new.name_any())? = (**new).clone();
            }
            _ => return None,
        }
        Some(())
    }

    fn is_terminating(&self) -> bool {
        let meta = match self {
            Self::Cluster(object) => &object.metadata,
            Self::Datacenter(object) => &object.metadata,
            Self::MachineConfig(object) => &object.metadata,
            Self::Template(object) => &object.metadata,
            Self::Oidc(object) => &object.metadata,
            Self::DockerDatacenter(object) => &object.metadata,
            Self::VSphereDatacenter(object) => &object.metadata,
            Self::VSphereMachineConfig(object) => &object.metadata,
        };
        meta.deletion_timestamp.is_some()
    }
}

/// What is refused of a write that creates a document or changes `old` to `new`, beside these ControlPlanes, which say what
/// the machines of clusters are made from, and the Releases that there are. What an earlier write got in, before
/// there was a rule, does not block one that leaves it alone.
#[must_use]
pub fn admit(
    old: Option<&Document>,
    new: &Document,
    control_planes: &[ControlPlane],
    releases: &[Release],
) -> Vec<Violation> {
    // What a terminating object can still lose are finalizers.
    if new.is_terminating() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for control_plane in control_planes {
        found.extend(changes(old, new, control_plane, releases).unwrap_or_default());
    }
    let annotations = holder_annotations(old, new);
    let others: Vec<Violation> = annotations
        .into_iter()
        .filter(|fault| !names(&found, fault))
        .collect();
    found.extend(others);
    found
}

/// What is wrong with the annotations that choose what holds the control-plane address, and was not before. They stand by
/// themselves, so it is said before the first machine is made.
fn holder_annotations(old: Option<&Document>, new: &Document) -> Vec<Violation> {
    let faults = |document: &Document| match document {
        Document::Cluster(cluster) => address_holder_faults(cluster),
        _ => Vec::new(),
    };
    let before = old.map(faults).unwrap_or_default();
    let mut found = faults(new);
    found.retain(|fault| !before.contains(fault));
    found
}

/// What is refused of the write because the cluster of this ControlPlane has machines.
fn changes(
    old: Option<&Document>,
    new: &Document,
    control_plane: &ControlPlane,
    releases: &[Release],
) -> Option<Vec<Violation>> {
    let namespace = control_plane.namespace().unwrap_or_default();
    let documents = control_plane.spec.documents.as_deref()?;
    let known = ClusterBundle::from_documents(&control_plane.name_any(), &namespace, documents);
    let wanted = new.within(&known)?;
    let compared = update(&known, &wanted, releases);
    let mut found = compared.refused;
    // The rest of the rules, with the refused fields put back, so that no field is named twice.
    if let Some(spec) = &control_plane.spec.release {
        let name = control_plane.spec.release_ref.as_deref().unwrap_or_default();
        let older = control_plane.spec.older_release.iter();
        let older = older.map(|older| Release::new(&older.name, older.release.clone()));
        let pinned: Vec<Release> = [Release::new(name, spec.clone())]
            .into_iter()
            .chain(older)
            .collect();
        let before = validate(&known, &pinned);
        // Another version is one of another Release.
        let version = |bundle: &ClusterBundle| {
            let own = bundle.cluster.spec.kubernetes_version.clone();
            (own, bundle.older_version().map(str::to_owned))
        };
        let upgraded = version(&known) != version(&compared.effective);
        let (all, releases) = (releases, if upgraded { releases } else { &pinned });
        let mut broken = broken_rules(&compared.effective, releases);
        broken.retain(|violation| !before.contains(violation));
        if !broken.is_empty() && !upgraded {
            let next = in_another_version(&known, &compared.effective, all);
            broken.retain(|violation| next.iter().all(|found| names(found, violation)));
        }
        found.extend(broken);
    }
    if let Some(before) = old.and_then(|old| old.within(&known)) {
        let written = update(&before, &wanted, releases).changed;
        let is_written = |violation: &Violation| {
            written.iter().any(|change| {
                // A worker group that comes is written as a whole.
                let whole = change
                    .path
                    .strip_suffix(".name")
                    .filter(|_| change.old.is_empty());
                change.kind == violation.kind
                    && change.name == violation.name
                    && violation.path.starts_with(whole.unwrap_or(&change.path))
            })
        };
        found.retain(is_written);
    }
    Some(found)
}

/// What is wrong with a bundle in each version that its cluster may be brought to. The images of a version are in other
/// documents than the version, and one of them is written first.
fn in_another_version(
    known: &ClusterBundle,
    wanted: &ClusterBundle,
    releases: &[Release],
) -> Vec<Vec<Violation>> {
    let versions: BTreeSet<&str> = releases
        .iter()
        .map(|release| release.spec.kubernetes_version.as_str())
        .collect();
    let with = |version: &str| {
        let mut bundle = wanted.clone();
        version.clone_into(&mut bundle.cluster.spec.kubernetes_version);
        bundle
    };
    // Worker groups that were behind may follow, too.
    let were = &known.cluster.spec.worker_node_group_configurations;
    let follows = |mut bundle: ClusterBundle| {
        for group in &mut bundle.cluster.spec.worker_node_group_configurations {
            let was = were.iter().find(|was| was.name == group.name);
            let was = was.and_then(|was| was.kubernetes_version.as_ref());
            group.kubernetes_version = group.kubernetes_version.take().filter(|own| was != Some(own));
        }
        bundle
    };
    versions
        .into_iter()
        .map(with)
        .flat_map(|bundle| [bundle.clone(), follows(bundle)])
        .filter(|bundle| bundle.cluster.spec != known.cluster.spec)
        .filter(|bundle| update(known, bundle, releases).refused.is_empty())
        .map(|bundle| broken_rules(&bundle, releases))
        .collect()
}

/// Whether one of these is about the same field.
fn names(found: &[Violation], field: &Violation) -> bool {
    let is_it = |one: &Violation| (one.kind, &one.name, &one.path) == (field.kind, &field.name, &field.path);
    found.iter().any(is_it)
}

/// What is wrong with a bundle, as far as its documents are known. A machine configuration, template or identity provider that
/// the recorded documents don't have may be beside them; whether it is, the coordinator sees.
fn broken_rules(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let mut bundle = bundle.clone();
    for config in bundle.machine_configs.values_mut() {
        let known = |reference: &ObjectRef| bundle.templates.contains_key(&reference.name);
        config.spec.template_ref = config.spec.template_ref.take().filter(known);
    }
    let known =
        |reference: &ObjectRef| reference.kind != OIDC || bundle.oidc_configs.contains_key(&reference.name);
    bundle.cluster.spec.identity_provider_refs.retain(known);
    let unknown = machine_groups(&bundle).filter(|(_, reference)| {
        reference.is_some_and(|reference| !bundle.has_machine_config(&reference.name))
    });
    let unknown: BTreeSet<String> = unknown.map(|(path, _)| format!("{path}.name")).collect();
    let mut broken = validate(&bundle, releases);
    broken.retain(|violation| violation.kind != "Cluster" || !unknown.contains(&violation.path));
    broken
}

/// What is refused of a change of a ControlPlane: its id, and the founder of a cluster whose API has answered, unless another
/// machine starts with the saved data of that cluster.
#[must_use]
pub fn admit_control_plane(old: &ControlPlane, new: &ControlPlane) -> Vec<Violation> {
    let mut report = Report::new("ControlPlane", &new.name_any());
    let founder = old.spec.initialized_by.as_ref();
    let exists = founder.is_some_and(|founder| founder.answered_at.is_some());
    let saved = old
        .spec
        .saved_etcd
        .as_ref()
        .and_then(|saved| saved.snapshot.as_ref());
    let starts_anew = saved
        .zip(new.spec.initialized_by.as_ref())
        .is_some_and(|(saved, founder)| {
            founder.restored_from == Some(saved.sha256) && founder.answered_at.is_none()
        });
    if exists && !starts_anew && old.spec.initialized_by != new.spec.initialized_by {
        report.add(
            "spec.initializedBy",
            "the machine that started the cluster does not change: a second `kubeadm init` would start a second etcd",
            "put the old value back",
        );
    }
    if !old.spec.cluster_uid.is_empty() && old.spec.cluster_uid != new.spec.cluster_uid {
        report.add(
            "spec.clusterUid",
            "the id of a cluster never changes: its machines carry it",
            "put the old value back",
        );
    }
    report.found
}

/// What is refused of a deletion of a ControlPlane: it holds what is decided once for its cluster.
#[must_use]
pub fn admit_control_plane_deletion(name: &str, clusters: &[Cluster]) -> Vec<Violation> {
    let mut report = Report::new("ControlPlane", name);
    let cluster = clusters.iter().find(|cluster| cluster.name_any() == name);
    if cluster.is_some_and(|cluster| cluster.metadata.deletion_timestamp.is_none()) {
        report.add(
            "metadata.name",
            format!("cluster {name} is there, and this object says what its machines are made from"),
            format!("delete the cluster: gantry delete cluster {name}"),
        );
    }
    report.found
}
