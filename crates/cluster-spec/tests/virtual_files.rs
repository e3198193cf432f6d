//! EKS Anywhere's files for vSphere and Docker, as `eksctl anywhere generate clusterconfig` writes them and people fill them in; and
//! those of providers that have no driver here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cluster_spec::{AddressHolder, ClusterBundle, Problems, address_holder, parse, remarks};
use resources::gantry::{
    ComponentImage, PluginMachine, Release, ReleaseChart, ReleaseNodeImage, ReleaseSpec,
};
use serde_json::json;

const DOCKER: &str = include_str!("eksa/docker.yaml");
const VSPHERE: &str = include_str!("eksa/vsphere.yaml");

fn releases() -> Vec<Release> {
    let component = |name: &str, image: &str| ComponentImage {
        name: name.to_owned(),
        image: image.to_owned(),
        digest: None,
    };
    let image = |family: &str| ReleaseNodeImage {
        os_family: family.to_owned(),
        cni: "flannel".to_owned(),
        image: format!("{family}-node"),
    };
    let spec = ReleaseSpec {
        kubernetes_version: "1.35".to_owned(),
        patch_version: "v1.35.4".to_owned(),
        components: vec![component("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.2.0")],
        node_images: vec![image("debian"), image("docker")],
        charts: vec![ReleaseChart {
            name: "cilium".to_owned(),
            version: "1.19.4".to_owned(),
            source: "cilium-1.19.4.tgz".to_owned(),
            digest: None,
        }],
    };
    vec![Release::new("v1.35.4", spec)]
}

fn read(text: &str) -> Result<ClusterBundle, Problems> {
    parse(text, "cluster.yaml", &releases())
}

fn good(text: &str) -> ClusterBundle {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong, with its line.
fn faults(text: &str) -> String {
    read(text).expect_err("it is wrong").to_string()
}

fn machines(bundle: &ClusterBundle) -> Vec<PluginMachine> {
    let groups = bundle.groups();
    groups
        .iter()
        .filter_map(|group| bundle.plugin_machine(group))
        .collect()
}

/// The fields that are remarked on.
fn remarked(bundle: &ClusterBundle) -> Vec<String> {
    let found = remarks(bundle, &releases());
    found.into_iter().map(|remark| remark.path).collect()
}

#[test]
fn the_docker_file_loads_unmodified() {
    let bundle = good(DOCKER);
    assert_eq!(bundle.provider(), "docker");
    let expected = PluginMachine {
        scope: "dev".to_owned(),
        ..PluginMachine::default()
    };
    assert_eq!(machines(&bundle), [expected.clone(), expected]);
    let release = &releases()[0].spec;
    for group in bundle.groups() {
        assert_eq!(bundle.source_of(&group, release), Some("docker-node"));
    }
    let said = remarked(&bundle);
    for path in [
        "spec.externalEtcdConfiguration",
        "spec.controlPlaneConfiguration.endpoint.host",
    ] {
        assert!(said.contains(&path.to_owned()), "{path}: {said:?}");
    }
    let endpoint = DOCKER.replace(
        "    count: 1\n  datacenterRef",
        "    count: 1\n    endpoint: {host: 172.18.0.100}\n  datacenterRef",
    );
    let said = remarked(&good(&endpoint));
    assert!(
        !said.contains(&"spec.controlPlaneConfiguration.endpoint.host".to_owned()),
        "{said:?}"
    );
}

#[test]
fn the_vsphere_file_loads_unmodified_with_eks_anywheres_defaults() {
    let bundle = good(VSPHERE);
    assert_eq!(bundle.provider(), "vsphere");
    let [control_plane, worker]: [PluginMachine; 2] = machines(&bundle).try_into().unwrap();
    let sizes = |machine: &PluginMachine| (machine.vcpus, machine.memory_mib, machine.root_disk_gib);
    assert_eq!(
        (sizes(&control_plane), sizes(&worker)),
        ((2, 8192, 25), (2, 8192, 25))
    );
    let expected = json!({
        "datacenter": "hall-1", "networks": ["/hall-1/network/nodes"], "datastore": "/hall-1/datastore/ssd",
        "folder": "/hall-1/vm/nodes", "resourcePool": "/hall-1/host/all/Resources",
    });
    assert_eq!(json!(control_plane.settings), expected);
    let expected = json!({
        "datacenter": "hall-1", "networks": ["/hall-1/network/rack-1"], "datastore": "/hall-1/datastore/rack-1",
        "folder": "/hall-1/vm/rack-1", "resourcePool": "/hall-1/host/rack-1/Resources", "computeCluster": "rack-1",
    });
    assert_eq!(json!(worker.settings), expected);
    let users: Vec<String> = bundle
        .groups()
        .iter()
        .map(|group| group.users()[0].name.clone())
        .collect();
    assert_eq!(users, ["capv", "capv"]);
    assert!(matches!(
        address_holder(&bundle.cluster),
        AddressHolder::KubeVip { .. }
    ));
}

/// What is changed in a file, and what is said then, with the line.
#[test]
fn faults_are_named_by_line_and_field() {
    let cases = [
        (
            DOCKER,
            "    name: md-0\n",
            "    name: md-0\n    machineGroupRef: {kind: X, name: y}\n",
            "no configuration",
        ),
        (DOCKER, "spec: {}", "spec: {cpus: 2}", "unknown field \"cpus\""),
        (DOCKER, "cilium: {}", "kindnetd: {}", "kindnetd is not installed"),
        (
            DOCKER,
            "    name: dev\n  externalEtcd",
            "    name: other\n  externalEtcd",
            "no DockerDatacenterConfig named \"other\"",
        ),
        (
            VSPHERE,
            "datastore: \"/hall-1/datastore/ssd\"\n  diskGiB: 25",
            "datastore: \"\"\n  diskGiB: 25",
            "spec.datastore",
        ),
        (VSPHERE, "diskGiB: 25", "diskGiB: 10", "20 or more"),
        (
            VSPHERE,
            "memoryMiB: 8192\n  numCPUs: 2\n  osFamily: ubuntu\n  resourcePool: \"/hall-1/host/all/Resources\"\n  storage",
            "memoryMiB: 1024\n  numCPUs: 2\n  osFamily: ubuntu\n  resourcePool: \"/hall-1/host/all/Resources\"\n  storage",
            "2048 or more",
        ),
        (
            VSPHERE,
            "    - \"fd-1\"",
            "    - \"fd-9\"",
            "no failure domain named \"fd-9\"",
        ),
        (
            VSPHERE,
            "  storagePolicyName: \"\"\n",
            "  networks: [a]\n",
            "spec.networks",
        ),
        (
            VSPHERE,
            "      kind: VSphereMachineConfig\n      name: shed-cp",
            "      kind: TinkerbellMachineConfig\n      name: shed-cp",
            "write VSphereMachineConfig",
        ),
        (
            VSPHERE,
            "    endpoint:\n      host: \"198.51.100.10\"\n",
            "",
            "has no endpoint",
        ),
        (
            VSPHERE,
            "  server: \"vcenter.example.com\"",
            "  server: \"\"",
            "spec.server",
        ),
    ];
    for (text, from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let said = faults(&text.replacen(from, to, 1));
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("cluster.yaml:"), "{said}");
    }
}

#[test]
fn a_document_of_another_provider_has_no_place() {
    let tinkerbell = "apiVersion: anywhere.eks.amazonaws.com/v1alpha1\nkind: TinkerbellDatacenterConfig\nmetadata: {name: x}\n\
                      spec: {tinkerbellIP: 192.0.2.5}\n";
    let said = faults(&format!("{DOCKER}\n{tinkerbell}"));
    assert!(
        said.contains("TinkerbellDatacenterConfig has no place in a cluster whose datacenter is a DockerDatacenterConfig"),
        "{said}"
    );
}

#[test]
fn files_of_providers_without_a_driver_name_it_in_their_lines() {
    for (provider, driver) in [
        ("Nutanix", "nutanix"),
        ("CloudStack", "cloudstack"),
        ("Snow", "snow"),
    ] {
        let text = VSPHERE.replace("kind: VSphere", &format!("kind: {provider}"));
        let said = faults(&text);
        for kind in ["DatacenterConfig", "MachineConfig"] {
            let expected = format!("kind {provider}{kind} needs driver {driver}");
            assert!(said.contains(&expected), "{expected}: {said}");
            let line = text
                .lines()
                .position(|line| line == format!("kind: {provider}{kind}"))
                .unwrap();
            assert!(said.contains(&format!("cluster.yaml:{}:", line + 1)), "{said}");
        }
    }
}
