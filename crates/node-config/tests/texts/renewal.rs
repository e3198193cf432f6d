//! The Pod that renews the certificates of a member of a control plane.

use node_config::{Renewal, renewal_pod};

#[test]
fn the_pod_is_one_that_a_kubelet_takes_and_its_script_stands_in_it() {
    let mut pod = renewal_pod(&Renewal {
        name: "gantry-renewal-7c9e6679-7425-40de-944b-e07fc1f90ae7-12",
        machine: "demo-cp-x7k2p",
        node: "node-1",
        address: "192.0.2.11".parse().unwrap(),
        image: "registry.k8s.io/kube-apiserver:v1.35.4",
    });
    let typed: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod.clone()).unwrap();
    assert_eq!(
        serde_json::to_value(typed).unwrap(),
        pod,
        "no field is misspelled"
    );
    let command = &mut pod["spec"]["containers"][0]["command"];
    let script = command[4].take();
    assert_eq!(script, include_str!("../../src/renewal/renew.sh"));
    command[4] = "SCRIPT".into();
    insta::assert_snapshot!("renewal-pod", serde_json::to_string_pretty(&pod).unwrap());
}
