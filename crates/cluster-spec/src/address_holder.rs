//! What holds the control-plane endpoint: keepalived or kube-vip on the machines, as an annotation says, or a load balancer of
//! the user's.

use kube::ResourceExt as _;
use resources::anywhere::Cluster;
use resources::gantry::ReleaseSpec;
use resources::keys::{CONTROL_PLANE_VIP, KUBE_VIP_IMAGE};

/// Values of the annotation.
pub(crate) const KEEPALIVED: &str = "keepalived";
pub(crate) const KUBE_VIP: &str = "kube-vip";

/// What holds the endpoint of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressHolder<'a> {
    /// keepalived on each machine of the control plane.
    Keepalived,
    /// kube-vip on each machine of the control plane.
    KubeVip {
        /// Its image, where the cluster names one.
        image: Option<&'a str>,
    },
    /// A load balancer that the user brings.
    LoadBalancer,
}

/// What holds the endpoint of this cluster, by annotations that [`validate`](crate::validate) has nothing against.
#[must_use]
pub fn address_holder(cluster: &Cluster) -> AddressHolder<'_> {
    if is_left_out(cluster) {
        return AddressHolder::LoadBalancer;
    }
    match stated(cluster, CONTROL_PLANE_VIP) {
        Some(KUBE_VIP) => AddressHolder::KubeVip {
            image: stated(cluster, KUBE_VIP_IMAGE),
        },
        _ => AddressHolder::Keepalived,
    }
}

/// The image of kube-vip for a cluster of this Release; `None` where neither names one, or the cluster has no kube-vip.
#[must_use]
pub fn kube_vip_image(cluster: &Cluster, release: &ReleaseSpec) -> Option<String> {
    let AddressHolder::KubeVip { image } = address_holder(cluster) else {
        return None;
    };
    let of_release = || {
        let mut components = release.components.iter();
        components.find(|component| component.name == KUBE_VIP)
    };
    match image {
        Some(image) => Some(image.to_owned()),
        None => of_release().map(|component| component.image.clone()),
    }
}

/// How violations name an annotation.
pub(crate) fn annotation_path(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

/// The value of an annotation that is there.
pub(crate) fn stated<'a>(cluster: &'a Cluster, key: &str) -> Option<&'a str> {
    cluster.annotations().get(key).map(|value| value.trim())
}

/// Whether the user brings a load balancer.
pub(crate) fn is_left_out(cluster: &Cluster) -> bool {
    let control = &cluster.spec.control_plane_configuration;
    control.skip_load_balancer_deployment == Some(true)
}
