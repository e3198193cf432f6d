//! The documents of a Cluster in the API, checked by the same rules as the file they came from; and what the machines of
//! the cluster are made from.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use cluster_spec::{
    ChangeEffect, ClusterBundle, FieldChange, Hosts, Surroundings, Violation, VirtualSite, candidates,
    check_surroundings, choose_release, next_pass, update, update_in_place, validate,
};
use jiff::Timestamp;
use kube::ResourceExt;
use resources::Mac;
use resources::anywhere::{Cluster, FailureReason, WorkerNodeGroup};
use resources::gantry::{ControlPlane, Release};

use super::bundle::bundle;
use super::upgrade::{
    Change, Upgrade, all_releases, change, fetched, held_versions, images_of, is_patch_of, upgrade,
};
use crate::access::Access;
use crate::error::Error;
use crate::observe::{Snapshot, Views, versions};
use crate::pin::Pin;
use crate::plan::{rollout_paused, to_resume};

/// The documents of a Cluster.
pub(crate) enum Documents {
    /// Good, or good with the refused changes put back.
    Good(Box<Admitted>),
    /// Something has to happen first.
    Waits(String),
    /// Something is missing or wrong.
    Bad(FailureReason, String),
}

/// A checked cluster.
pub(crate) struct Admitted {
    /// The documents to carry out.
    pub(crate) bundle: ClusterBundle,
    /// What its machines are made from.
    pub(crate) pin: Pin,
    /// What a change of the documents waits for before it is carried out.
    pub(crate) waits: Option<String>,
    /// Changes of the documents that are not carried out.
    pub(crate) refused: Vec<Violation>,
}

/// Reads and checks the documents.
pub(crate) async fn read(
    access: &Access,
    views: &Views,
    cluster: &Cluster,
    snapshot: &Snapshot,
) -> Result<Documents, Error> {
    let control_plane = snapshot.control_plane.as_ref().filter(|_| snapshot.is_made());
    let documents = control_plane.and_then(|control_plane| control_plane.spec.documents.as_deref());
    let known = documents
        .map(|documents| ClusterBundle::from_documents(&cluster.name_any(), &access.namespace, documents));
    let wanted = match bundle(views, &access.namespace, cluster, known.as_ref()) {
        Ok(bundle) => bundle,
        Err(message) => return Ok(Documents::Bad(FailureReason::MissingDependentObjects, message)),
    };
    let all = all_releases(views);
    let (mut bundle, refused, held) = match &known {
        Some(known) => {
            let paused = rollout_paused(cluster).filter(|_| snapshot.is_rolled_out());
            let compared = match paused {
                Some(_) => update_in_place(known, &wanted, &all),
                None => update(known, &wanted, &all),
            };
            let held = paused.and_then(|paused| held(&paused, &known.name(), &compared.changed));
            (compared.effective, compared.refused, held)
        }
        None => (wanted, Vec::new(), None),
    };
    if let Some(before) = &known {
        let images = |release: &Release, family: &str| images_of(views, access, &bundle, release, family);
        match next_pass(before, &bundle, &all, images) {
            Ok(None) => {}
            Ok(Some(pass)) => bundle = pass,
            Err(missing) => {
                let refused = refused.into_iter().chain([missing]).collect();
                return Ok(as_before(control_plane, known, bundle, None, refused));
            }
        }
    }
    let pinned = control_plane.and_then(|control_plane| Pin::of(control_plane, &bundle));
    let change = known
        .as_ref()
        .map_or(Change::None, |known| change(known, &bundle));
    let releases = match &pinned {
        Some(pin) if change != Change::Version => pin.releases(),
        _ => all,
    };
    let violations = validate(&bundle, &releases);
    if let Some(first) = violations.first() {
        return Ok(Documents::Bad(class(first), lines(&violations)));
    }
    let pin = match (pinned, &known) {
        (Some(pin), _) if change == Change::None => pin,
        (Some(pin), Some(before)) => match upgrade(access, views, (before, &bundle), &pin, snapshot).await? {
            Upgrade::To(pin) => *pin,
            // The cluster is driven on as it is.
            Upgrade::Waits(reason) => {
                return Ok(as_before(control_plane, known, bundle, Some(reason), refused));
            }
            Upgrade::Refused(violation) => {
                let refused = refused.into_iter().chain([violation]).collect();
                return Ok(as_before(control_plane, known, bundle, None, refused));
            }
        },
        _ => match first_pin(access, views, &bundle, &releases, snapshot).await? {
            Ok(pin) => pin,
            Err(other) => return Ok(other),
        },
    };
    Ok(Documents::Good(Box::new(Admitted {
        bundle,
        pin,
        waits: held,
        refused,
    })))
}

/// What is said of changes that wait until a rollout is resumed, because they need new machines.
fn held(paused: &str, cluster: &str, changed: &[FieldChange]) -> Option<String> {
    let held = changed
        .iter()
        .filter(|change| change.effect == ChangeEffect::NewMachines);
    let fields: Vec<String> = held
        .map(|change| format!("{} {}: {}", change.kind, change.name, change.path))
        .collect();
    let (fields, resume) = (
        Some(fields.join(", ")).filter(|fields| !fields.is_empty())?,
        to_resume(cluster),
    );
    Some(format!("{paused}, so these changes wait: {fields}; {resume}"))
}

/// The wanted documents with the version and the images that the machines are made from, until the new ones can be had.
fn as_before(
    control_plane: Option<&Arc<ControlPlane>>,
    known: Option<ClusterBundle>,
    mut bundle: ClusterBundle,
    waits: Option<String>,
    refused: Vec<Violation>,
) -> Documents {
    if let Some(known) = known {
        keep_templates(&mut bundle, &known);
        let minors: Vec<String> = known.versions().into_iter().map(str::to_owned).collect();
        let (new, old) = (&mut bundle.cluster.spec, known.cluster.spec);
        new.kubernetes_version = old.kubernetes_version;
        // A new one of another version waits, too.
        new.worker_node_group_configurations.retain(|group| {
            let is_old = |before: &WorkerNodeGroup| before.name == group.name;
            let own = group.kubernetes_version.as_ref();
            own.is_none_or(|own| minors.contains(own))
                || old.worker_node_group_configurations.iter().any(is_old)
        });
        for group in &mut new.worker_node_group_configurations {
            let mut groups = old.worker_node_group_configurations.iter();
            if let Some(before) = groups.find(|before| before.name == group.name) {
                group.kubernetes_version.clone_from(&before.kubernetes_version);
            }
        }
        bundle.datacenter.spec.os_image_url = known.datacenter.spec.os_image_url;
        for (name, config) in &mut bundle.machine_configs {
            if let Some(before) = known.machine_configs.get(name) {
                config.spec.os_image_url.clone_from(&before.spec.os_image_url);
            }
        }
    }
    match control_plane.and_then(|control_plane| Pin::of(control_plane, &bundle)) {
        Some(pin) => Documents::Good(Box::new(Admitted {
            bundle,
            pin,
            waits,
            refused,
        })),
        None => Documents::Waits(waits.unwrap_or_default()),
    }
}

/// The templates of a vCenter that the machines are made from.
fn keep_templates(bundle: &mut ClusterBundle, known: &ClusterBundle) {
    let (Some(VirtualSite::VSphere(new)), Some(VirtualSite::VSphere(old))) =
        (&mut bundle.virtual_site, &known.virtual_site)
    else {
        return;
    };
    for (name, config) in &mut new.machine_configs {
        if let Some(before) = old.machine_configs.get(name) {
            config.spec.template.clone_from(&before.spec.template);
        }
    }
}

/// What a cluster is made from that has no Release yet.
async fn first_pin(
    access: &Access,
    views: &Views,
    bundle: &ClusterBundle,
    releases: &[Release],
    snapshot: &Snapshot,
) -> Result<Result<Pin, Documents>, Error> {
    let surroundings = (access, views, snapshot);
    let own = match first_release(
        surroundings,
        bundle,
        &bundle.cluster.spec.kubernetes_version,
        releases,
    )
    .await?
    {
        Ok(release) => release,
        Err(other) => return Ok(Err(other)),
    };
    let older = match bundle.older_version() {
        None => None,
        Some(minor) => match first_release(surroundings, bundle, minor, releases).await? {
            Ok(release) => Some(release),
            Err(other) => return Ok(Err(other)),
        },
    };
    Ok(Ok(Pin::new(own, older, bundle)))
}

/// The Release of the groups of a minor version. Where there are several, what their images hold decides, so they are fetched
/// first.
async fn first_release<'a>(
    (access, views, snapshot): (&Access, &Views, &Snapshot),
    bundle: &ClusterBundle,
    minor: &str,
    releases: &'a [Release],
) -> Result<Result<&'a Release, Documents>, Error> {
    let made = versions(snapshot).map(|(_, version)| version);
    let made = made.filter(|version| is_patch_of(version, minor));
    let mut inside: BTreeSet<String> = made.cloned().collect();
    if inside.is_empty() && candidates(bundle, minor, releases).len() > 1 {
        match held_versions(access, views, bundle, minor, snapshot).await? {
            Ok(versions) => inside = versions,
            Err(url) => return Ok(Err(Documents::Waits(fetched(&url)))),
        }
    }
    Ok(choose_release(bundle, minor, releases, &inside)
        .map_err(|message| Documents::Bad(FailureReason::BundleNotFoundForCluster, message)))
}

/// The class of a broken rule in the status of a Cluster.
pub(crate) fn class(violation: &Violation) -> FailureReason {
    match violation.kind {
        "TinkerbellDatacenterConfig" | "VSphereDatacenterConfig" | "DockerDatacenterConfig" => {
            FailureReason::DatacenterConfigInvalid
        }
        "TinkerbellMachineConfig" | "VSphereMachineConfig" => FailureReason::MachineConfigInvalid,
        _ => FailureReason::ClusterInvalid,
    }
}

/// One line for each.
pub(crate) fn lines(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The age of a cluster, and its name among clusters of one age.
fn age(cluster: &Cluster) -> (Option<Timestamp>, Option<&str>, Option<&str>) {
    let meta = &cluster.metadata;
    let created = meta.creation_timestamp.as_ref().map(|time| time.0);
    (created, meta.namespace.as_deref(), meta.name.as_deref())
}

fn has_machines(views: &Views, cluster: &Cluster) -> bool {
    let namespace = cluster.namespace().unwrap_or_default();
    let control_plane = views.control_planes.get(&namespace, &cluster.name_any());
    control_plane.is_some_and(|control_plane| control_plane.spec.documents.is_some())
}

/// Whether the addresses of a cluster of which nothing exists yet are free and of use. A cluster that has machines keeps its
/// own; of two new ones that want the same address the older one gets it.
pub(crate) fn surroundings(
    hosts: &Hosts,
    views: &Views,
    bundle: &ClusterBundle,
    appliance: Option<Ipv4Addr>,
    holder: Option<Mac>,
) -> Option<(FailureReason, String)> {
    let clusters = views.clusters.all();
    let own = age(&bundle.cluster);
    let first: Vec<&Cluster> = clusters
        .iter()
        .map(AsRef::as_ref)
        .filter(|other| age(other) < own || has_machines(views, other) && age(other) != own)
        .collect();
    let around = Surroundings {
        hosts,
        clusters: &first,
        appliance,
        holder,
    };
    let violations = check_surroundings(bundle, &around);
    let reason = |first| match holder {
        Some(_) => FailureReason::UnavailableControlPlaneIP,
        None => class(first),
    };
    violations
        .first()
        .map(|first| (reason(first), lines(&violations)))
}
