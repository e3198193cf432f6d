//! What holds the control-plane endpoint: the annotations that choose it.

use kube::ResourceExt as _;
use resources::Digest;
use resources::anywhere::Cluster;
use resources::gantry::Release;
use resources::keys::{CONTROL_PLANE_VIP, KUBE_VIP_IMAGE};

use super::registry_mirror::{is_host, is_path};
use crate::address_holder::{
    AddressHolder, KEEPALIVED, KUBE_VIP, address_holder, annotation_path, is_left_out, kube_vip_image, stated,
};
use crate::bundle::ClusterBundle;
use crate::releases::candidates;
use crate::violation::{Report, Violation};

pub(super) fn check(bundle: &ClusterBundle, releases: &[Release], report: &mut Report) {
    let cluster = &bundle.cluster;
    report.found.extend(faults(cluster));
    if bundle.brings_images() && address_holder(cluster) == AddressHolder::Keepalived {
        report.add(
            annotation_path(CONTROL_PLANE_VIP),
            "keepalived is in Gantry's own node images alone, and these machines have images of yours",
            format!(
                "write {KUBE_VIP}, or remove the annotation: with such images {KUBE_VIP} is meant without it"
            ),
        );
    }
    if !matches!(address_holder(cluster), AddressHolder::KubeVip { .. }) {
        return;
    }
    let without = |release: &&Release| kube_vip_image(cluster, &release.spec).is_none();
    if let Some(release) = candidates(bundle, &cluster.spec.kubernetes_version, releases)
        .into_iter()
        .find(without)
    {
        report.add(
            annotation_path(CONTROL_PLANE_VIP),
            format!("Release {} names no image of kube-vip", release.name_any()),
            format!("annotate the cluster with {KUBE_VIP_IMAGE} and the image that the machines are to pull"),
        );
    }
}

/// What is wrong with the annotations, whatever Releases there are.
pub(crate) fn faults(cluster: &Cluster) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &cluster.name_any());
    let holder = stated(cluster, CONTROL_PLANE_VIP);
    match holder {
        None | Some(KEEPALIVED | KUBE_VIP) => {}
        Some(other) => report.add(
            annotation_path(CONTROL_PLANE_VIP),
            format!("{other:?} is nothing that holds the control-plane address"),
            format!(
                "write {KEEPALIVED} or {KUBE_VIP}, or remove the annotation: without it {KEEPALIVED} does"
            ),
        ),
    }
    if holder.is_some() && is_left_out(cluster) {
        report.add(
            annotation_path(CONTROL_PLANE_VIP),
            "controlPlaneConfiguration.skipLoadBalancerDeployment is true, so nothing on the machines holds the control-plane \
             address",
            "remove one of the two",
        );
    }
    if let Some(image) = stated(cluster, KUBE_VIP_IMAGE) {
        if holder != Some(KUBE_VIP) {
            report.add(
                annotation_path(KUBE_VIP_IMAGE),
                "the cluster has no kube-vip that would be made of this image",
                format!("remove the annotation, or choose kube-vip when the cluster is made: {CONTROL_PLANE_VIP}: {KUBE_VIP}"),
            );
        } else if !is_fixed_image(image) {
            report.add(
                annotation_path(KUBE_VIP_IMAGE),
                format!("{image:?} is not an image with a tag or digest"),
                "write it as REGISTRY/REPOSITORY:TAG, such as ghcr.io/kube-vip/kube-vip:v1.2.0",
            );
        }
    }
    report.found
}

/// Whether this is an image that stays the same when it is pulled again, as far as its name can say: with its registry, and a
/// tag or digest.
fn is_fixed_image(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    // Without a host in front of it the first part would be a folder of docker.io.
    let Some((registry, path)) = repository
        .split_once('/')
        .filter(|(host, _)| host.contains(['.', ':']))
    else {
        return false;
    };
    let is_tag = |tag: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=128).contains(&tag.len()) && tag.bytes().all(inner) && !tag.starts_with(['.', '-'])
    };
    let is_digest = |digest: &str| digest.parse::<Digest>().is_ok();
    is_host(registry)
        && !path.is_empty()
        && is_path(path)
        && (tag.is_some() || digest.is_some())
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_registry_and_stays_the_same() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for good in [
            "ghcr.io/kube-vip/kube-vip:v1.2.0",
            "mirror.example:5000/kube-vip:v1.2.0",
            &format!("ghcr.io/kube-vip/kube-vip@{digest}"),
            &format!("public.ecr.aws/eks/kube-vip/kube-vip:v1.2.0-eks-a@{digest}"),
        ] {
            assert!(is_fixed_image(good), "{good}");
        }
        for bad in [
            "",
            "kube-vip:v1.2.0",
            "kube-vip/kube-vip:v1.2.0",
            "ghcr.io/kube-vip/kube-vip",
            "ghcr.io/kube-vip/kube-vip:",
            "ghcr.io/Kube-vip/kube-vip:v1",
            "ghcr.io/kube-vip//kube-vip:v1",
            "ghcr.io/kube-vip/kube-vip:v1 x",
            "https://ghcr.io/kube-vip/kube-vip:v1",
            "ghcr.io/kube-vip/kube-vip:v1@sha256:00",
        ] {
            assert!(!is_fixed_image(bad), "{bad}");
        }
    }
}
