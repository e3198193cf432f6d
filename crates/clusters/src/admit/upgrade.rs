//! Whether a change of version or images of a cluster with machines can be carried out, and with which Release.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster_spec::{ClusterBundle, Violation, choose_release};
use kube::ResourceExt as _;
use resources::gantry::{Image, ImageState, ImageStatus, Plan, PlanClass, PlanPhase, Release};

use crate::access::Access;
use crate::error::Error;
use crate::execute::make_image;
use crate::observe::{Snapshot, Views, image_of, named};
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
    if known.cluster.spec.kubernetes_version != wanted.cluster.spec.kubernetes_version {
        Change::Version
    } else if image_urls(known) != image_urls(wanted) {
        Change::Images
    } else {
        Change::None
    }
}

/// What becomes of a change of version or images.
pub(super) enum Upgrade {
    /// It is carried out, with machines of this Release.
    To(Box<Release>),
    /// Something has to happen first.
    Waits(String),
    /// It can't be carried out.
    Refused(Violation),
}

/// The Release that a cluster with machines is upgraded to: the one whose Kubernetes its new images hold, which are fetched
/// first, so that no machine goes for one that can't be installed. Images that say nothing of it leave the recorded one, as
/// long as its version is wanted.
pub(super) async fn upgrade(
    access: &Access,
    views: &Views,
    bundle: &ClusterBundle,
    pinned: &Pin,
    snapshot: &Snapshot,
) -> Result<Upgrade, Error> {
    let other_version = version_of(bundle) != pinned.release.kubernetes_version.trim_start_matches('v');
    if other_version && snapshot.founding() != Founding::Done {
        let reason = "the new version of Kubernetes waits until the cluster is created with the one before";
        return Ok(Upgrade::Waits(reason.to_owned()));
    }
    if other_version && let Some(reason) = between_versions(pinned, snapshot) {
        return Ok(Upgrade::Waits(reason));
    }
    let inside = match held_versions(access, views, bundle, snapshot).await? {
        Ok(inside) => inside,
        Err(url) => return Ok(Upgrade::Waits(fetched(&url))),
    };
    for url in image_urls(bundle) {
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
    let is_held = |version: &String| *version == pinned.release.patch_version;
    if !other_version && inside.iter().all(is_held) {
        let recorded = Release::new(&pinned.release_ref, pinned.release.clone());
        return Ok(Upgrade::To(Box::new(recorded)));
    }
    Ok(match choose_release(bundle, &all_releases(views), &inside) {
        Ok(release) => Upgrade::To(Box::new(release.clone())),
        Err(message) => Upgrade::Refused(Violation {
            kind: "Cluster",
            name: bundle.name(),
            path: "spec.kubernetesVersion".to_owned(),
            message,
            next_step: "put the old version and images back, or name images of a Release that is here"
                .to_owned(),
        }),
    })
}

/// What the upgrade to the recorded version has not come to yet: API servers and nodes are never two minor versions apart, so the
/// next version waits.
fn between_versions(pinned: &Pin, snapshot: &Snapshot) -> Option<String> {
    let recorded = pinned.release.kubernetes_version.trim_start_matches('v');
    let is_of_recorded = |version: &str| {
        let patch = version.trim_start_matches('v').strip_prefix(recorded);
        patch.is_some_and(|patch| patch.starts_with('.'))
    };
    let staying = snapshot
        .machines
        .iter()
        .filter(|(name, _)| !snapshot.is_going(name));
    let mut versions = staying.filter_map(|(name, machine)| Some((name, machine.spec.version.as_ref()?)));
    if let Some((name, version)) = versions.find(|(_, version)| !is_of_recorded(version)) {
        return Some(format!(
            "the new version of Kubernetes waits until every machine has {recorded}: {name} has {version}"
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

fn version_of(bundle: &ClusterBundle) -> &str {
    bundle.cluster.spec.kubernetes_version.trim_start_matches('v')
}

/// Patch versions in the images of a cluster, as far as these say one; or the URL of one that is being fetched.
pub(super) async fn held_versions(
    access: &Access,
    views: &Views,
    bundle: &ClusterBundle,
    snapshot: &Snapshot,
) -> Result<Result<BTreeSet<String>, String>, Error> {
    let mut inside = BTreeSet::new();
    for url in image_urls(bundle) {
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

/// URLs of the images of all groups.
fn image_urls(bundle: &ClusterBundle) -> BTreeSet<String> {
    let groups = bundle.groups();
    let urls = groups
        .iter()
        .filter_map(|group| bundle.image_url(group.machine_config));
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
