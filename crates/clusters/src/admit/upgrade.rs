//! Whether a change of version or images of a cluster with machines can be carried out, and with which Release.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster_spec::{ClusterBundle, Violation, choose_release};
use kube::ResourceExt as _;
use resources::anywhere::WorkerNodeGroup;
use resources::gantry::{Image, ImageState, ImageStatus, MachineRole, Plan, PlanClass, PlanPhase, Release};

use crate::access::Access;
use crate::error::Error;
use crate::execute::make_image;
use crate::observe::{Snapshot, Views, image_of, named, versions};
use crate::pin::Pin;
use crate::plan::{Founding, image_name};

/// What of the documents is newer than the Release that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Neither version nor images.
    None,
    /// Images, which may hold another patch version.
    Images,
    /// The version of Kubernetes.
    Version,
}

pub(super) fn change(known: &ClusterBundle, wanted: &ClusterBundle) -> Change {
    if known.versions() != wanted.versions() || is_behind_otherwise(known, wanted) {
        Change::Version
    } else if image_urls(known, None) != image_urls(wanted, None) {
        Change::Images
    } else {
        Change::None
    }
}

/// Whether a worker group that stays has another version than before.
fn is_behind_otherwise(known: &ClusterBundle, wanted: &ClusterBundle) -> bool {
    let mut groups = wanted.cluster.spec.worker_node_group_configurations.iter();
    groups.any(|group| {
        let known_group = known.cluster.spec.worker_node_group_configurations.iter();
        let mut known_group = known_group.filter(|before| before.name == group.name);
        let before = known_group.next().map(|before| known.version_of(before));
        before.is_some_and(|before| before != wanted.version_of(group))
    })
}

/// What becomes of a change of version or images.
pub(super) enum Upgrade {
    /// It is carried out, with machines that are made from this.
    To(Box<Pin>),
    /// Something has to happen first.
    Waits(String),
    /// It can't be carried out.
    Refused(Violation),
}

/// The Releases that a cluster with machines is upgraded to: those whose Kubernetes its new images hold, which are fetched
/// first, so that no machine goes for one that can't be installed. Images that say nothing of it leave the recorded ones, as
/// long as their versions are wanted.
pub(super) async fn upgrade(
    access: &Access,
    views: &Views,
    (known, bundle): (&ClusterBundle, &ClusterBundle),
    pinned: &Pin,
    snapshot: &Snapshot,
) -> Result<Upgrade, Error> {
    if change(known, bundle) == Change::Version {
        if snapshot.founding() != Founding::Done {
            let reason =
                "the new version of Kubernetes waits until the cluster is created with the one before";
            return Ok(Upgrade::Waits(reason.to_owned()));
        }
        if let Some(reason) = between_versions(known, snapshot) {
            return Ok(Upgrade::Waits(reason));
        }
    }
    for url in image_urls(bundle, None) {
        let image = image_of(views, &access.namespace, &snapshot.cluster, &url);
        let failed = |status: &ImageStatus| status.state == ImageState::Failed;
        if let Some(status) = image
            .as_ref()
            .and_then(|image| image.status.as_ref())
            .filter(|status| failed(status))
        {
            let violation = Violation {
                kind: "Image",
                name: image_name(&url),
                path: "spec.url".to_owned(),
                message: named(&url, status.reason.as_deref()),
                next_step: "name another image, or make this one available".to_owned(),
            };
            return Ok(Upgrade::Refused(violation));
        }
    }
    let surroundings = (access, views, snapshot);
    let own = match release_for(
        surroundings,
        bundle,
        &bundle.cluster.spec.kubernetes_version,
        pinned,
    )
    .await?
    {
        Ok(release) => release,
        Err(other) => return Ok(other),
    };
    let older = match bundle.older_version() {
        None => None,
        Some(minor) => match release_for(surroundings, bundle, minor, pinned).await? {
            Ok(release) => Some(release),
            Err(other) => return Ok(other),
        },
    };
    Ok(Upgrade::To(Box::new(Pin::new(&own, older.as_ref(), bundle))))
}

/// The Release of the groups of a minor version, or what becomes of the upgrade without one.
async fn release_for(
    (access, views, snapshot): (&Access, &Views, &Snapshot),
    bundle: &ClusterBundle,
    minor: &str,
    pinned: &Pin,
) -> Result<Result<Release, Upgrade>, Error> {
    let inside = match held_versions(access, views, bundle, minor, snapshot).await? {
        Ok(inside) => inside,
        Err(url) => return Ok(Err(Upgrade::Waits(fetched(&url)))),
    };
    let is_held = |release: &Release| {
        let mut inside = inside.iter();
        inside.all(|version| *version == release.spec.patch_version)
    };
    if let Some(recorded) = pinned.release_of(minor).filter(is_held) {
        return Ok(Ok(recorded));
    }
    let chosen = choose_release(bundle, minor, &all_releases(views), &inside).cloned();
    Ok(chosen.map_err(|message| {
        Upgrade::Refused(Violation {
            kind: "Cluster",
            name: bundle.name(),
            path: "spec.kubernetesVersion".to_owned(),
            message,
            next_step: "put the old version and images back, or name images of a Release that is here"
                .to_owned(),
        })
    }))
}

/// Whether a patch version such as `v1.35.4` is of a minor version such as `1.35`.
pub(super) fn is_patch_of(version: &str, minor: &str) -> bool {
    let patch = version
        .trim_start_matches('v')
        .strip_prefix(minor.trim_start_matches('v'));
    patch.is_some_and(|patch| patch.starts_with('.'))
}

/// What the upgrade to the recorded version has not come to yet: API servers and nodes are never two minor versions apart, so the
/// next version waits.
fn between_versions(known: &ClusterBundle, snapshot: &Snapshot) -> Option<String> {
    let of_machine = |name: &str| {
        let pool = snapshot.pool_of(name);
        let mut groups = known.cluster.spec.worker_node_group_configurations.iter();
        let is_it = |group: &&WorkerNodeGroup| group.name.as_deref() == pool;
        let group = groups
            .find(is_it)
            .filter(|_| snapshot.role(name) == MachineRole::Worker);
        let own = group.map_or(&*known.cluster.spec.kubernetes_version, |group| {
            known.version_of(group)
        });
        own.to_owned()
    };
    let mut staying = versions(snapshot).filter(|(name, _)| !snapshot.is_going(name));
    if let Some((name, version)) = staying.find(|(name, version)| !is_patch_of(version, &of_machine(name))) {
        return Some(format!(
            "the new version of Kubernetes waits until every machine has the one before: {name} has {version}, and is to have {}",
            of_machine(name)
        ));
    }
    let is_rollout =
        |plan: &&Arc<Plan>| plan.spec.class == PlanClass::Upgrade && plan.phase() == PlanPhase::Executing;
    let plan = snapshot.plan().filter(is_rollout)?;
    Some(format!(
        "the new version of Kubernetes waits until plan {} is done",
        plan.name_any()
    ))
}

/// The Releases that there are.
pub(super) fn all_releases(views: &Views) -> Vec<Release> {
    let releases = views.releases.all();
    releases.iter().map(|release| (**release).clone()).collect()
}

/// URLs of the images that hold the Kubernetes of a Release on an operating system, with the CNI of the cluster.
pub(super) fn images_of(
    views: &Views,
    access: &Access,
    bundle: &ClusterBundle,
    release: &Release,
    family: &str,
) -> Vec<String> {
    let fits = |image: &Image| {
        let status = image
            .status
            .as_ref()
            .filter(|status| status.state == ImageState::Ready);
        let manifest = status.and_then(|status| status.manifest.as_ref());
        manifest.is_some_and(|manifest| {
            let is_or_unknown = |known: &Option<String>, wanted: Option<&str>| {
                known
                    .as_deref()
                    .is_none_or(|known| wanted.is_none_or(|wanted| known == wanted))
            };
            manifest.kubernetes_version.as_deref() == Some(&release.spec.patch_version)
                && is_or_unknown(&manifest.os_family, Some(family))
                && is_or_unknown(&manifest.cni, bundle.cni())
        })
    };
    let images = views.images.all().into_iter();
    let found = images.filter(|image| image.namespace().as_deref() == Some(&access.namespace) && fits(image));
    let mut urls: Vec<String> = found.map(|image| image.spec.url.clone()).collect();
    urls.sort();
    urls
}

/// Patch versions in the images of the groups of a minor version, as far as these say one; or the URL of one that is being
/// fetched.
pub(super) async fn held_versions(
    access: &Access,
    views: &Views,
    bundle: &ClusterBundle,
    minor: &str,
    snapshot: &Snapshot,
) -> Result<Result<BTreeSet<String>, String>, Error> {
    let mut inside = BTreeSet::new();
    for url in image_urls(bundle, Some(minor)) {
        let Some(image) = image_of(views, &access.namespace, &snapshot.cluster, &url) else {
            make_image(access, &url).await?;
            return Ok(Err(url));
        };
        match held(&image) {
            Held::Version(version) => inside.extend(version),
            Held::NotYet => return Ok(Err(url)),
        }
    }
    Ok(Ok(inside))
}

pub(super) fn fetched(url: &str) -> String {
    format!("image {url} is being fetched; the version of Kubernetes in it decides which Release is used")
}

/// URLs of the images of all groups, or of those of a minor version.
fn image_urls(bundle: &ClusterBundle, minor: Option<&str>) -> BTreeSet<String> {
    let groups = minor.map_or_else(|| bundle.groups(), |minor| bundle.groups_of(minor));
    let urls = groups.iter().filter_map(|group| bundle.image_of(group));
    urls.map(str::to_owned).collect()
}

/// What is known of the Kubernetes in an image.
enum Held {
    /// The version, when the image says one. An image that can't be had says none; its step says why.
    Version(Option<String>),
    /// It is being fetched.
    NotYet,
}

fn held(image: &Image) -> Held {
    let Some(status) = &image.status else {
        return Held::NotYet;
    };
    match status.state {
        ImageState::Failed => Held::Version(None),
        ImageState::Ready => {
            let manifest = status.manifest.as_ref();
            Held::Version(manifest.and_then(|manifest| manifest.kubernetes_version.clone()))
        }
        _ => Held::NotYet,
    }
}
