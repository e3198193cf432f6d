//! What the appliance of these tests can install.

use resources::gantry::{Release, ReleaseNodeImage, ReleaseSpec};

/// Kubernetes 1.35.4 on Debian with flannel.
pub(crate) fn releases() -> Vec<Release> {
    let spec = ReleaseSpec {
        kubernetes_version: "1.35".to_owned(),
        patch_version: "v1.35.4".to_owned(),
        node_images: vec![ReleaseNodeImage {
            os_family: "debian".to_owned(),
            cni: "flannel".to_owned(),
            image: "debian-13-kubernetes-1.35".to_owned(),
        }],
        charts: Vec::new(),
        ..ReleaseSpec::default()
    };
    vec![Release::new("v1.35.4", spec)]
}
