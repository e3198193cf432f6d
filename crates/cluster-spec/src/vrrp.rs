//! The virtual router id of a cluster's control-plane endpoint (VRRP, RFC 3768 §5.3.3: 1 to 255, unique on a segment).

use std::net::Ipv4Addr;

use kube::ResourceExt;
use resources::anywhere::Cluster;
use resources::keys::VRRP_ID;

/// The id of a cluster: that of its annotation, else one that follows from its endpoint. The derivation is part of what
/// running clusters are made of, so it never changes.
#[must_use]
pub fn vrrp_id(cluster: &Cluster) -> u8 {
    match stated(cluster) {
        Some(Ok(id)) => id,
        Some(Err(_)) | None => endpoint(cluster).map_or(1, derived),
    }
}

/// What the annotation says, if there is one; its text when that is no id.
pub(crate) fn stated(cluster: &Cluster) -> Option<Result<u8, &str>> {
    let text = cluster.annotations().get(VRRP_ID)?;
    let id = text.trim().parse::<u8>().ok().filter(|id| *id > 0);
    Some(id.ok_or(text))
}

/// The control-plane address.
pub(crate) fn endpoint(cluster: &Cluster) -> Option<Ipv4Addr> {
    let endpoint = cluster.spec.control_plane_configuration.endpoint.as_ref()?;
    endpoint.host.parse().ok()
}

/// Of the last two bytes, so that equal last bytes of neighbouring /24 networks differ, and never 0.
fn derived(endpoint: Ipv4Addr) -> u8 {
    let [.., third, last] = endpoint.octets();
    let sum = u16::from(third) * 101 + u16::from(last);
    u8::try_from(sum % 255).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(endpoint: &str, annotation: Option<&str>) -> Cluster {
        let mut cluster: Cluster = serde_json::from_value(serde_json::json!({
            "apiVersion": "anywhere.eks.amazonaws.com/v1alpha1", "kind": "Cluster", "metadata": {"name": "lab"},
            "spec": {"kubernetesVersion": "1.35", "controlPlaneConfiguration": {"count": 1, "endpoint": {"host": endpoint}},
                "clusterNetwork": {"pods": {"cidrBlocks": []}, "services": {"cidrBlocks": []}},
                "datacenterRef": {"kind": "TinkerbellDatacenterConfig", "name": "lab"}}
        }))
        .unwrap();
        if let Some(value) = annotation {
            cluster
                .annotations_mut()
                .insert(VRRP_ID.to_owned(), value.to_owned());
        }
        cluster
    }

    #[test]
    fn equal_last_bytes_of_one_segment_have_different_ids() {
        let id = |endpoint: &str| vrrp_id(&cluster(endpoint, None));
        assert_eq!((id("10.20.30.50"), id("10.20.31.50")), (21, 122));
        for third in 0..=255_u8 {
            for last in 0..=255_u8 {
                let at = |third: u8| derived(Ipv4Addr::new(10, 0, third, last));
                assert_ne!(at(third), 0);
                assert!(third == 255 || at(third) != at(third + 1), "{third}.{last}");
            }
        }
    }

    #[test]
    fn an_annotation_decides() {
        assert_eq!(vrrp_id(&cluster("10.20.30.50", Some("7"))), 7);
        for wrong in ["0", "256", "x", ""] {
            assert_eq!(stated(&cluster("10.20.30.50", Some(wrong))), Some(Err(wrong)));
        }
    }
}
