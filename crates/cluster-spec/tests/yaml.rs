//! The file as users write it: what is accepted, what is said where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod releases;

use cluster_spec::{ClusterBundle, FreeHardware, Problems, check_hardware, parse, remarks};
use resources::gantry::MachineRole;

use crate::releases::releases;

const GOOD: &str = include_str!("good.yaml");

fn good() -> ClusterBundle {
    parse(GOOD, "cluster.yaml", &releases()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> Problems {
    parse(text, "cluster.yaml", &releases()).unwrap_err()
}

/// The good file with one piece replaced.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn the_good_file_reads_with_its_defaults() {
    let bundle = good();
    assert_eq!(bundle.name(), "demo");
    assert_eq!(bundle.cluster.metadata.namespace.as_deref(), Some("eksa-system"));
    assert_eq!(bundle.cluster.spec.management_cluster.name, "demo");
    assert_eq!(
        bundle
            .cluster
            .spec
            .cluster_network
            .nodes
            .as_ref()
            .unwrap()
            .cidr_mask_size,
        Some(24)
    );
    assert_eq!(bundle.cni(), Some("flannel"));
    let groups = bundle.groups();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group.name, group.role, group.count))
        .collect();
    assert_eq!(
        shown,
        [
            ("cp", MachineRole::ControlPlane, 1),
            ("md-0", MachineRole::Worker, 1)
        ]
    );
    assert_eq!(groups[0].selector_terms()[0].match_labels["type"], "cp");
    assert_eq!(
        bundle.image_of(&groups[1]),
        Some("file:///srv/debian-13-kubernetes-1.35.raw.zst")
    );
    let again = cluster_spec::with_defaults(bundle.clone());
    assert_eq!(again, bundle);
}

#[test]
fn an_unquoted_version_is_repaired() {
    let bundle = parse(&with("\"1.35\"", "1.35"), "x", &releases()).unwrap();
    assert_eq!(bundle.cluster.spec.kubernetes_version, "1.35");
    let told = refused(&with("\"1.35\"", "1.30").replace("1.35.raw", "1.30.raw")).problems;
    assert_eq!(told[0].message, "no Release has Kubernetes 1.30");
}

#[test]
fn an_unknown_field_and_a_wrong_cidr_are_told_together() {
    let text = with("10.244.0.0/16", "10.244.0.0/33")
        .replace("    count: 1\n    endpoint", "    counts: 1\n    endpoint");
    insta::assert_snapshot!(refused(&text));
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of faults")]
fn one_fault_is_one_problem_at_its_field() {
    let table = [
        (
            "name: demo\n",
            "name: Demo\n",
            "metadata.name",
            "is not a cluster name",
        ),
        (
            "name: demo\n",
            "name: a-very-long-name-of-a-cluster-that-is-36\n",
            "metadata.name",
            "less than 36",
        ),
        (
            "    endpoint:\n      host: 192.0.2.10\n",
            "",
            "endpoint.host",
            "has no endpoint",
        ),
        (
            "host: 192.0.2.10",
            "host: 192.0.2.10:6443",
            "endpoint.host",
            "is not an IP address",
        ),
        (
            "host: 192.0.2.10",
            "host: 192.0.2.5",
            "spec.tinkerbellIP",
            "is also the control-plane endpoint",
        ),
        (
            "    count: 1\n    endpoint",
            "    count: 2\n    endpoint",
            "controlPlaneConfiguration.count",
            "even number",
        ),
        (
            "    count: 1\n    endpoint",
            "    count: 0\n    endpoint",
            "controlPlaneConfiguration.count",
            "at least one machine",
        ),
        (
            "    count: 1\n    endpoint",
            "    count: one\n    endpoint",
            "controlPlaneConfiguration.count",
            "whole number is wanted",
        ),
        (
            "kind: TinkerbellMachineConfig\n      name: demo-cp",
            "kind: VSphereMachineConfig\n      name: demo-cp",
            "machineGroupRef.kind",
            "is not a machine configuration",
        ),
        (
            "      name: demo-cp",
            "      name: demo-nix",
            "machineGroupRef.name",
            "no TinkerbellMachineConfig named",
        ),
        (
            "    name: md-0\n",
            "    name: cp\n",
            "workerNodeGroupConfigurations[0].name",
            "control plane's own group",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    taints: [{key: a, effect: Never}]\n",
            "taints[0].effect",
            "is not an effect",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    taints: [{key: a, effect: NoExecute}]\n",
            "spec.workerNodeGroupConfigurations",
            "at least one worker group",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    labels: {a b: c}\n",
            "labels.a b",
            "is not a valid label",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    labels: {Example.com/rack: r1}\n",
            "labels.Example.com/rack",
            "is not a valid label",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    taints: [{key: a/b/c, effect: PreferNoSchedule}]\n",
            "taints[0].key",
            "is not the key of a taint",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    taints: [{key: a, value: b c, effect: PreferNoSchedule}]\n",
            "taints[0].value",
            "is not the value of a taint",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    taints: [{key: a, effect: PreferNoSchedule}, {key: a, value: b, effect: PreferNoSchedule}]\n",
            "taints[1]",
            "there is a taint a:PreferNoSchedule before",
        ),
        (
            "    name: md-0\n",
            "    name: md-0\n    autoscalingConfiguration: {minCount: 2, maxCount: 3}\n",
            "[0].count",
            "is outside 2 to 3",
        ),
        ("10.244.0.0/16", "pods", "pods.cidrBlocks[0]", "is not a CIDR"),
        ("10.244.0.0/16", "fd00::/48", "pods.cidrBlocks[0]", "is IPv6"),
        (
            "10.96.0.0/12",
            "10.240.0.0/12",
            "services.cidrBlocks[0]",
            "overlap",
        ),
        (
            "10.244.0.0/16",
            "192.0.0.0/16",
            "pods.cidrBlocks[0]",
            "lies inside",
        ),
        (
            "10.244.0.0/16",
            "10.244.0.0/25",
            "nodes.cidrMaskSize",
            "does not fit",
        ),
        (
            "10.244.0.0/16",
            "11.0.0.0/7",
            "nodes.cidrMaskSize",
            "more than 65536",
        ),
        ("flannel: {}", "cilium: {}", "cniConfig.cilium", "chart of cilium"),
        (
            "flannel: {}",
            "cilium: {routingMode: direct}",
            "cniConfig.cilium.routingMode",
            "direct routing needs",
        ),
        (
            "flannel: {}",
            "kindnetd: {}",
            "cniConfig.kindnetd",
            "kindnetd is not installed by this version",
        ),
        (
            "flannel: {}",
            "flannel: {}\n      cilium: {}",
            "cniConfig",
            "2 CNIs",
        ),
        (
            "cniConfig:\n      flannel: {}",
            "cni: weave",
            "clusterNetwork.cni",
            "is not known here",
        ),
        (
            "cniConfig:\n      flannel: {}",
            "cni: cilium\n    cniConfig: {cilium: {}}",
            "clusterNetwork.cni",
            "old spelling",
        ),
        (
            "  kubernetesVersion",
            "  podIamConfig: {serviceAccountIssuer: issuer}\n  kubernetesVersion",
            "spec.podIamConfig.serviceAccountIssuer",
            "is not the URL of an issuer",
        ),
        (
            "  kubernetesVersion",
            "  externalEtcdConfiguration: {count: 3}\n  kubernetesVersion",
            "spec.externalEtcdConfiguration",
            "unsupported",
        ),
        (
            "kind: TinkerbellDatacenterConfig\n    name: demo",
            "kind: AWSDatacenterConfig\n    name: demo",
            "datacenterRef.kind",
            "is no datacenter that is known here",
        ),
        (
            "    kind: TinkerbellDatacenterConfig\n    name: demo",
            "    kind: TinkerbellDatacenterConfig\n    name: other",
            "datacenterRef.name",
            "no TinkerbellDatacenterConfig",
        ),
        (
            "tinkerbellIP: 192.0.2.5",
            "tinkerbellIP: rack",
            "spec.tinkerbellIP",
            "is not an IPv4 address",
        ),
        (
            "tinkerbellIP: 192.0.2.5",
            "tinkerbellIP: 192.0.2.5\n  isoBoot: true",
            "spec.isoBoot",
            "not booted",
        ),
        (
            "osFamily: debian",
            "osFamily: bottlerocket",
            "spec.osFamily",
            "its images for bare metal end with 1.28",
        ),
        (
            "osFamily: debian",
            "osFamily: dos",
            "spec.osFamily",
            "is not known here",
        ),
        (
            "  osFamily: debian\n",
            "",
            "spec.osFamily",
            "a machine configuration without osFamily means it",
        ),
        (
            "    type: cp\n",
            "    type: cp\n    rack: r1\n",
            "spec.hardwareSelector",
            "exactly one",
        ),
        (
            "    type: cp\n",
            "    type: [cp]\n",
            "spec.hardwareSelector.type",
            "a string is wanted",
        ),
        (
            "- name: admin",
            "- name: root",
            "spec.users[0].name",
            "is not a user name",
        ),
        (
            "- ssh-ed25519 AAAA",
            "- AAAA",
            "sshAuthorizedKeys[0]",
            "not a public SSH key",
        ),
        (
            "kind: Cluster",
            "kind: Cluster\nkind: Cluster",
            "",
            "stands twice",
        ),
        (
            "1.35.raw",
            "1.34.raw",
            "spec.osImageURL",
            "does not hold the Kubernetes version",
        ),
        (
            "file:///srv",
            "ftp://srv",
            "spec.osImageURL",
            "is not a URL of an image",
        ),
    ];
    for (from, to, path, message) in table {
        let problems = refused(&with(from, to));
        let found = problems
            .problems
            .iter()
            .find(|problem| problem.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{from:?} -> {to:?}: {problems}"));
        assert!(found.place.ends_with(path), "{}: wanted {path}", found.place);
        assert!(found.line > 1 || path.is_empty(), "{found:?}");
        assert!(!found.next_step.is_empty());
    }
}

#[test]
fn a_problem_points_at_the_value() {
    let problems = refused(&with("10.244.0.0/16", "10.244.0.0/33")).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    let line = GOOD
        .lines()
        .position(|line| line.contains("10.244.0.0/16"))
        .unwrap();
    let column = GOOD.lines().nth(line).unwrap().find("10.244").unwrap();
    assert_eq!(
        (problems[0].line, problems[0].column, problems[0].width),
        (line + 1, column + 1, 13)
    );
}

#[test]
fn files_that_are_no_cluster() {
    for (text, message) in [
        ("", "the file holds no document"),
        ("---\n---\n", "the file holds no document"),
        ("a: [1, 2\n", "this is not YAML"),
        (
            "apiVersion: v1\nkind: ConfigMap\n",
            "does not belong in a cluster file",
        ),
        ("kind: Cluster\n", "apiVersion \"\" of Cluster"),
        (
            "apiVersion: anywhere.eks.amazonaws.com/v1alpha1\nkind: SnowIPPool\n",
            "kind SnowIPPool needs driver snow",
        ),
        (
            "apiVersion: anywhere.eks.amazonaws.com/v1alpha1\nkind: FluxConfig\n",
            "the file holds 0 documents of kind Cluster",
        ),
        ("- a\n", "the document has no kind"),
    ] {
        let problems = refused(text);
        assert!(
            problems
                .problems
                .iter()
                .any(|problem| problem.message.contains(message)),
            "{text:?}: {problems}"
        );
    }
    let cluster_only = GOOD.split("---").next().unwrap();
    let problems = refused(cluster_only).problems;
    assert_eq!(
        problems[0].message,
        "the file holds 0 documents of kind TinkerbellDatacenterConfig"
    );
}

#[test]
fn aliases_cannot_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..9 {
        let items = vec![format!("*a{}", at - 1); 10].join(", ");
        text += &format!("a{at}: &a{at} [{items}]\n");
    }
    assert!(refused(&text).problems[0].message.contains("too large"));
}

fn free(name: &str, pairs: &[(&str, &str)]) -> FreeHardware {
    let labels = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    FreeHardware {
        name: name.to_owned(),
        labels,
    }
}

#[test]
fn hardware_must_be_enough_and_unambiguous() {
    let bundle = good();
    let (cp, worker) = (free("a", &[("type", "cp")]), free("b", &[("type", "worker")]));
    assert_eq!(
        check_hardware(&bundle, &[cp.clone(), worker.clone(), free("spare", &[])]),
        []
    );
    let found = check_hardware(&bundle, std::slice::from_ref(&cp));
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].message,
        "minimum hardware count not met for selector {type=worker}: have 0 free, require 1"
    );
    let mut twice = bundle.clone();
    twice
        .machine_configs
        .get_mut("demo-md-0")
        .unwrap()
        .spec
        .hardware_selector = [("rack".to_owned(), "r1".to_owned())].into();
    let both = free("c", &[("type", "cp"), ("rack", "r1")]);
    let found = check_hardware(&twice, &[both]);
    assert!(
        found[0]
            .message
            .starts_with("hardware must only satisfy 1 selector: c satisfies"),
        "{found:?}"
    );
}

#[test]
fn groups_with_one_selector_are_added_up() {
    let mut bundle = good();
    let config = bundle.machine_configs.get_mut("demo-md-0").unwrap();
    config.spec.hardware_selector = [("type".to_owned(), "cp".to_owned())].into();
    let found = check_hardware(&bundle, &[free("a", &[("type", "cp")])]);
    assert!(found[0].message.ends_with("have 1 free, require 2"), "{found:?}");
}

/// Paths of what is refused, and of what is taken and has no effect, when a piece of the good file is replaced.
fn said(from: &str, to: &str) -> (Vec<String>, Vec<String>) {
    match parse(&with(from, to), "cluster.yaml", &releases()) {
        Err(problems) => {
            let place = |place: &str| place.rsplit(' ').next().unwrap_or_default().to_owned();
            let places = problems.problems.iter().map(|problem| place(&problem.place));
            (places.collect(), Vec::new())
        }
        Ok(bundle) => {
            let paths = remarks(&bundle, &releases())
                .into_iter()
                .map(|remark| remark.path);
            (Vec::new(), paths.collect())
        }
    }
}

#[test]
fn known_fields_with_unknown_values_are_refused() {
    let version = "  kubernetesVersion";
    let control = "    count: 1\n    endpoint";
    let group = "    name: md-0\n";
    let refused = [
        (version, "  eksaVersion: banana\n", "spec.eksaVersion"),
        (
            version,
            "  machineHealthCheck: {maxUnhealty: 1}\n",
            "spec.machineHealthCheck.maxUnhealty",
        ),
        (
            version,
            "  machineHealthCheck: {maxUnhealthy: 140%}\n",
            "spec.machineHealthCheck.maxUnhealthy",
        ),
        (
            version,
            "  machineHealthCheck: {nodeStartupTimeout: 5s}\n",
            "spec.machineHealthCheck.nodeStartupTimeout",
        ),
        (
            control,
            "    machineHealthCheck: {unhealthyMachineTimeout: soon}\n",
            "spec.controlPlaneConfiguration.machineHealthCheck.unhealthyMachineTimeout",
        ),
        (
            control,
            "    upgradeRolloutStrategy: {type: Canary}\n",
            "spec.controlPlaneConfiguration.upgradeRolloutStrategy.type",
        ),
        (
            control,
            "    apiServerExtraArgs: {etcd-servers: 'http://192.0.2.66:2379'}\n",
            "spec.controlPlaneConfiguration.apiServerExtraArgs.etcd-servers",
        ),
        (
            control,
            "    apiServerExtraArgs: {client-ca-file: /x}\n",
            "spec.controlPlaneConfiguration.apiServerExtraArgs.client-ca-file",
        ),
    ];
    for (place, field, path) in refused {
        assert_eq!(
            said(place, &format!("{field}{place}")),
            (vec![path.to_owned()], vec![]),
            "{field}"
        );
    }
    let both_zero =
        "    name: md-0\n    upgradeRolloutStrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}\n";
    assert_eq!(
        said(group, both_zero).0,
        ["spec.workerNodeGroupConfigurations[0].upgradeRolloutStrategy.rollingUpdate"]
    );
}

#[test]
fn what_has_no_effect_is_a_remark_and_what_has_one_is_taken() {
    let version = "  kubernetesVersion";
    let control = "    count: 1\n    endpoint";
    let group = "    name: md-0\n";
    let address = "tinkerbellIP: 192.0.2.5";
    let noted = [
        (version, "  eksaVersion: v0.22.1\n", "spec.eksaVersion"),
        (version, "  bundlesRef: {name: x}\n", "spec.bundlesRef"),
        (version, "  licenseToken: x\n", "spec.licenseToken"),
        (
            control,
            "    upgradeRolloutStrategy: {type: InPlace}\n",
            "spec.controlPlaneConfiguration.upgradeRolloutStrategy",
        ),
    ];
    for (place, field, path) in noted {
        assert_eq!(
            said(place, &format!("{field}{place}")),
            (vec![], vec![path.to_owned()]),
            "{field}"
        );
    }
    let balanced = format!("{address}\n  skipLoadBalancerDeployment: true\n  loadBalancerInterface: eth7");
    assert_eq!(
        said(address, &balanced).1,
        ["spec.skipLoadBalancerDeployment", "spec.loadBalancerInterface"]
    );
    let carried_out = [
        (
            version,
            "  machineHealthCheck: {maxUnhealthy: 1, nodeStartupTimeout: 20m}\n",
        ),
        (
            control,
            "    apiServerExtraArgs: {oidc-issuer-url: 'https://issuer.example'}\n",
        ),
        (
            group,
            "    autoscalingConfiguration: {minCount: 1, maxCount: 9}\n",
        ),
    ];
    for (place, field) in carried_out {
        assert_eq!(
            said(place, &format!("{field}{place}")),
            (vec![], vec![]),
            "{field}"
        );
    }
    let managed = said(
        "managementCluster:\n    name: demo",
        "managementCluster:\n    name: other",
    );
    assert_eq!(managed, (vec![], vec![]));
}
