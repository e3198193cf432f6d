//! What all nodes of a cluster share.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use resources::anywhere::{ProxyConfiguration, RegistryMirrorConfiguration};
use resources::gantry::ReleaseSpec;
use serde::Serialize;

use crate::error::Error;
use crate::registry_credentials::RegistryCredentials;
use crate::system::System;

/// Port of the API on every control-plane node and on the shared address.
pub(crate) const API_PORT: u16 = 6443;

/// The name of a node's network interface, which only the node knows; the bootstrap script puts it in.
pub(crate) const INTERFACE: &str = "@INTERFACE@";

/// How patient probes, elections and timers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Kubernetes' own values.
    #[default]
    Standard,
    /// For machines without hardware virtualisation, several on a few cores: nothing is killed for being slow, nor wakes
    /// up more often than it has to.
    Lab,
}

/// Longest time in which the address of a control plane passes from a node that is gone, or whose API server is, to another
/// one, where keepalived or kube-vip holds it.
pub const LONGEST_MOVE_SECONDS: u32 = 45;

/// What holds the address of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AddressHolder {
    /// keepalived on each of its machines.
    Keepalived {
        /// Virtual router id of the address, 1 to 255: no other on the same segment may have it.
        router_id: u8,
    },
    /// kube-vip on each of its machines.
    KubeVip {
        /// Its image.
        image: String,
    },
    /// A load balancer that the user brings.
    LoadBalancer,
}

/// What all nodes of a cluster share.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSettings {
    /// Name.
    pub name: String,
    /// Address of the API, shared by the control-plane nodes.
    pub endpoint: Ipv4Addr,
    /// What holds that address.
    pub address_holder: AddressHolder,
    /// Version such as `v1.35.4`.
    pub kubernetes_version: String,
    /// Range of the pods.
    pub pod_cidr: String,
    /// Range of the services.
    pub service_cidr: String,
    /// Prefix length of each node's pods.
    pub node_mask: u8,
    /// More names of the API's certificate.
    pub cert_sans: Vec<String>,
    /// Arguments of kube-apiserver.
    pub api_server_extra_args: BTreeMap<String, String>,
    /// Policy of the audit log (audit.k8s.io/v1, YAML). Without one a policy of ours is used, which notes who did what, and no
    /// content; in the lab's profile there is no log then.
    pub audit_policy: Option<String>,
    /// Address of the appliance on the machines' network.
    pub appliance: String,
    /// Proxy of containerd and the kubelet.
    pub proxy: Option<ProxyConfiguration>,
    /// Where containerd pulls images.
    pub registry_mirror: Option<RegistryMirrorConfiguration>,
    /// What that registry asks for.
    pub registry_credentials: Option<RegistryCredentials>,
    /// resolv.conf for pods; that of the system with real name servers when absent.
    pub resolv_conf: Option<String>,
    /// Patience.
    pub profile: Profile,
    /// Container images.
    pub images: Images,
    /// Operating system of its machines.
    pub system: System,
}

/// Container images that are not kubeadm's own choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// etcd's tag.
    pub etcd_tag: String,
    /// CoreDNS' tag.
    pub coredns_tag: String,
    /// flannel.
    pub flannel: String,
    /// keepalived.
    pub keepalived: String,
}

impl Images {
    /// Takes them from a Release.
    ///
    /// # Errors
    /// When the Release lacks one.
    pub fn from_release(release: &ReleaseSpec) -> Result<Self, Error> {
        let image = |component: &'static str| {
            let known = release.components.iter().find(|image| image.name == component);
            known
                .map(|image| image.image.clone())
                .ok_or(Error::NoImage { component })
        };
        let tag = |component| image(component).map(|image| tag(&image).to_owned());
        Ok(Self {
            etcd_tag: tag("etcd")?,
            coredns_tag: tag("coredns")?,
            flannel: image("flannel")?,
            keepalived: image("keepalived")?,
        })
    }
}

/// Repository and tag of an image reference, without its digest.
fn parts(image: &str) -> (&str, Option<&str>) {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

/// The tag of an image reference; `latest` when it has none.
fn tag(image: &str) -> &str {
    parts(image).1.unwrap_or("latest")
}

/// The image with another tag, and without a digest.
#[must_use]
pub fn with_tag(image: &str, tag: &str) -> String {
    format!("{}:{tag}", parts(image).0)
}

#[cfg(test)]
mod tests {
    use super::{tag, with_tag};

    #[test]
    fn tags_are_told_from_ports_and_digests() {
        for (image, wanted) in [
            ("registry.k8s.io/etcd:3.6.6-0", "3.6.6-0"),
            ("registry:5000/etcd", "latest"),
            ("registry:5000/etcd:1@sha256:00", "1"),
            ("pause", "latest"),
        ] {
            assert_eq!(tag(image), wanted, "{image}");
        }
    }

    #[test]
    fn tags_take_the_place_of_tags_and_digests() {
        let cases = [
            (
                "registry.k8s.io/kube-proxy:v1.34.2",
                "registry.k8s.io/kube-proxy:v1.35.4",
            ),
            ("mirror:5000/kube-proxy", "mirror:5000/kube-proxy:v1.35.4"),
            (
                "mirror:5000/kube-proxy:v1.34.2@sha256:00",
                "mirror:5000/kube-proxy:v1.35.4",
            ),
        ];
        for (image, wanted) in cases {
            assert_eq!(with_tag(image, "v1.35.4"), wanted, "{image}");
        }
    }
}
