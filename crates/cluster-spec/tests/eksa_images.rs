//! EKS Anywhere's documented files for bare metal whose node images are the user's own: each loads, with remarks that say what the
//! machines pull.

#![allow(clippy::unwrap_used, clippy::panic)]

mod releases;

use std::collections::BTreeSet;

use cluster_spec::{AddressHolder, ClusterBundle, Problems, address_holder, choose_release, parse, remarks};
use resources::gantry::{ComponentImage, Release, ReleaseChart};

const UBUNTU: &str = include_str!("eksa/ubuntu.yaml");
const UBUNTU_TEMPLATE: &str = include_str!("eksa/ubuntu-template.yaml");
const REDHAT: &str = include_str!("eksa/redhat.yaml");
const REDHAT_TEMPLATE: &str = include_str!("eksa/redhat-template.yaml");
const SINGLE_NODE: &str = include_str!("eksa/single-node.yaml");

/// Kubernetes 1.35.4, as `gantry image build` describes it.
fn known() -> Vec<Release> {
    let mut known = releases::releases();
    known[0].spec.components = [
        ("kube-apiserver", "registry.k8s.io/kube-apiserver:v1.35.4"),
        ("etcd", "registry.k8s.io/etcd:3.6.6-0"),
        ("flannel", "ghcr.io/flannel-io/flannel:v0.26.7"),
        ("cilium", "quay.io/cilium/cilium:v1.19.4"),
        ("keepalived", "gantry.dev/keepalived:trixie"),
        ("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.2.0"),
    ]
    .map(|(name, image)| ComponentImage {
        name: name.to_owned(),
        image: image.to_owned(),
        digest: None,
    })
    .into();
    known[0].spec.charts = vec![ReleaseChart {
        name: "cilium".to_owned(),
        version: "1.19.4".to_owned(),
        source: "cilium-1.19.4.tgz".to_owned(),
        digest: None,
    }];
    known
}

fn read(text: &str) -> ClusterBundle {
    parse(text, "cluster.yaml", &known()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> Problems {
    parse(text, "cluster.yaml", &known()).unwrap_err()
}

#[test]
fn each_file_loads_with_its_remarks() {
    let holder = "metadata.annotations[gantry.dev/control-plane-vip]";
    let (pulled, family) = ("spec.kubernetesVersion", "spec.osFamily");
    for (name, text, machine_configs) in [
        ("ubuntu", UBUNTU, 2),
        ("ubuntu with the default workflow written out", UBUNTU_TEMPLATE, 2),
        ("redhat", REDHAT, 2),
        ("redhat with the default workflow written out", REDHAT_TEMPLATE, 2),
        ("one node without workers", SINGLE_NODE, 1),
    ] {
        let bundle = read(text);
        let paths: Vec<String> = remarks(&bundle, &known())
            .into_iter()
            .map(|remark| remark.path)
            .collect();
        let mut expected = vec![holder, pulled];
        expected.extend(vec![family; machine_configs]);
        assert_eq!(paths, expected, "{name}");
        let chosen = choose_release(&bundle, "1.35", &known(), &BTreeSet::new()).cloned();
        assert_eq!(chosen.unwrap().spec.patch_version, "v1.35.4", "{name}");
    }
}

#[test]
fn what_machines_pull_is_named() {
    let said: String = remarks(&read(UBUNTU), &known())
        .iter()
        .map(ToString::to_string)
        .collect();
    for image in [
        "registry.k8s.io/kube-apiserver:v1.35.4",
        "registry.k8s.io/etcd:3.6.6-0",
        "ghcr.io/flannel-io/flannel:v0.26.7",
        "ghcr.io/kube-vip/kube-vip:v1.2.0",
    ] {
        assert!(said.contains(image), "{image}: {said}");
    }
    assert!(!said.contains("gantry.dev/keepalived:"), "{said}");
    assert!(!said.contains("quay.io/cilium/"), "{said}");
}

/// What `eksctl anywhere generate clusterconfig` writes has both: an image of the user's, and Cilium.
#[test]
fn ubuntu_and_cilium_go_together() {
    for text in [UBUNTU, UBUNTU_TEMPLATE, REDHAT, SINGLE_NODE] {
        let text = text.replace("flannel: {}", "cilium: {}");
        let said: String = remarks(&read(&text), &known())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(said.contains("quay.io/cilium/cilium:v1.19.4"), "{said}");
        assert!(!said.contains("ghcr.io/flannel-io/"), "{said}");
    }
}

/// keepalived's image is in no registry.
#[test]
fn kube_vip_holds_the_endpoint() {
    for text in [UBUNTU, REDHAT, SINGLE_NODE] {
        let bundle = read(text);
        let holder = address_holder(&bundle.cluster);
        assert_eq!(holder, AddressHolder::KubeVip { image: None });
    }
    let count = "    count: 1\n    endpoint";
    let balanced = UBUNTU.replacen(
        count,
        &format!("    skipLoadBalancerDeployment: true\n{count}"),
        1,
    );
    assert_eq!(
        address_holder(&read(&balanced).cluster),
        AddressHolder::LoadBalancer
    );
    let annotated = UBUNTU.replacen(
        "  name: shop\nspec",
        "  name: shop\n  annotations: {gantry.dev/control-plane-vip: keepalived}\nspec",
        1,
    );
    let problems = refused(&annotated).to_string();
    assert!(
        problems.contains("keepalived is in Gantry's own node images alone"),
        "{problems}"
    );
}

#[test]
fn what_can_not_become_a_node_is_refused_by_its_name() {
    let without = UBUNTU.replace("  osFamily: ubuntu\n", "");
    for (text, said) in [
        (
            UBUNTU.replace("osFamily: ubuntu", "osFamily: bottlerocket"),
            "end with 1.28",
        ),
        (without, "a machine configuration without osFamily means it"),
        (
            UBUNTU.replace("kube-1-35", "kube-1-34"),
            "the URL does not hold the Kubernetes version 1.35",
        ),
        (
            UBUNTU.replace("https://images", "oci://images"),
            "is not a URL of an image",
        ),
        (
            UBUNTU.replace("\"1.35\"", "\"1.30\""),
            "no Release has Kubernetes 1.30",
        ),
    ] {
        let problems = refused(&text).to_string();
        assert!(problems.contains(said), "{said}: {problems}");
    }
}

/// What a template's author wrote is what an action gets, with quotes or without.
#[test]
fn settings_of_actions_are_texts() {
    let text = UBUNTU_TEMPLATE
        .replacen("MODE: \"0600\"", "MODE: 0600", 1)
        .replacen("COMPRESSED: \"true\"", "COMPRESSED: true", 1)
        .replacen("version: \"0.1\"", "version: 0.10", 1);
    let bundle = read(&text);
    let template = &bundle.templates["shop"].spec.template;
    let actions = &template["tasks"][0]["actions"];
    assert_eq!(actions[0]["environment"]["COMPRESSED"], "true");
    assert_eq!(actions[1]["environment"]["MODE"], "0600");
    assert_eq!(actions[0]["timeout"], 600);
    assert_eq!(template["version"], "0.10");
}
