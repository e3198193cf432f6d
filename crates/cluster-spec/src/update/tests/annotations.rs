//! What every annotation that machines are made from does when a cluster is made: an example of it is taken, and recorded.

use super::holder::kube_vip;
use super::*;
use crate::rules::validate;

/// Annotations of a Cluster: what they decide, and an example of it.
pub(super) const ANNOTATIONS_AT_CREATION: &[(&str, &str, &str)] = &[
    (
        CONTROL_PLANE_VIP,
        "what holds the endpoint: `keepalived` (as without it, with Gantry's own image) or `kube-vip` (as without it, with one of yours); see [control-plane-address.md](control-plane-address.md)",
        "kube-vip",
    ),
    (
        VRRP_ID,
        "virtual router id of keepalived, 1 to 255; without it one that follows from the endpoint",
        "7",
    ),
    (
        KUBE_VIP_IMAGE,
        "image of kube-vip in place of the one that the Release names",
        "ghcr.io/kube-vip/kube-vip:v1.2.0",
    ),
];

/// The bundle with an annotation, and with those that it needs.
fn with_annotation(key: &str, value: &str) -> ClusterBundle {
    let mut bundle = bundle();
    let annotations = bundle.cluster.annotations_mut();
    if key == KUBE_VIP_IMAGE {
        annotations.insert(CONTROL_PLANE_VIP.to_owned(), "kube-vip".to_owned());
    }
    annotations.insert(key.to_owned(), value.to_owned());
    bundle
}

#[test]
fn every_annotation_does_what_the_table_says_when_a_cluster_is_made() {
    let mut releases = crate::releases::tests::releases(&["v1.35.4"]);
    releases[0].spec.components.push(kube_vip());
    let named: Vec<&str> = ANNOTATIONS_AT_CREATION.iter().map(|(key, ..)| *key).collect();
    let decided: Vec<&str> = ANNOTATIONS.iter().map(|(key, _)| *key).collect();
    assert_eq!(named, decided, "one row for each annotation, in the same order");
    for (key, _, example) in ANNOTATIONS_AT_CREATION {
        let bundle = with_annotation(key, example);
        assert_eq!(validate(&bundle, &releases), [], "{key}");
        let recorded = ClusterBundle::from_documents("shed", "eksa-system", &bundle.documents());
        assert_eq!(
            recorded.cluster.annotations().get(*key).map(String::as_str),
            Some(*example)
        );
    }
}
