//! Proxy, registry mirror, audit policy and kubelet settings in a cluster file: what is accepted, what is said where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod releases;

use std::collections::BTreeSet;
use std::process::Command;

use cluster_spec::{ClusterBundle, Problems, parse, validate};
use serde_json::{Value, json};

use crate::releases::releases;

const GOOD: &str = include_str!("good.yaml");

const SETTINGS: &str = "  proxyConfiguration:
    httpProxy: http://proxy.example:3128
    httpsProxy: user:p%40ss@192.0.2.3:3128
    noProxy: [192.0.2.0/24, .example.com, mirror.example]
  registryMirrorConfiguration:
    endpoint: mirror.example
    ociNamespaces:
    - registry: docker.io
      namespace: hub/public
    - registry: registry.k8s.io
      namespace: ''
    authenticate: true
    caCertContent: |
      -----BEGIN CERTIFICATE-----
      ZmFrZQ==
      -----END CERTIFICATE-----
";
const CONTROL_PLANE: &str = "    kubeletConfiguration:
      kind: KubeletConfiguration
      maxPods: 50
      cgroupDriver: systemd
    auditPolicyContent: |
      apiVersion: audit.k8s.io/v1
      kind: Policy
      rules:
      - level: None
        nonResourceURLs: [/healthz]
      - level: Metadata
        omitStages: [RequestReceived]
";

/// The good file with all settings.
fn text() -> String {
    let control_plane = "  controlPlaneConfiguration:\n";
    GOOD.replacen(
        control_plane,
        &format!("{SETTINGS}{control_plane}{CONTROL_PLANE}"),
        1,
    )
    .replacen(
        "    name: md-0\n",
        "    name: md-0\n    kubeletConfiguration: {maxPods: 110}\n",
        1,
    )
}

fn good() -> ClusterBundle {
    parse(&text(), "cluster.yaml", &releases()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(from: &str, to: &str) -> Problems {
    let text = text();
    assert!(text.contains(from), "{from}");
    parse(&text.replacen(from, to, 1), "cluster.yaml", &releases()).unwrap_err()
}

#[test]
fn all_settings_are_read() {
    let bundle = good();
    let spec = &bundle.cluster.spec;
    let mirror = spec.registry_mirror_configuration.as_ref().unwrap();
    assert_eq!(mirror.port.as_deref(), Some("443"));
    assert_eq!(mirror.oci_namespaces[0].namespace, "hub/public");
    let proxy = spec.proxy_configuration.as_ref().unwrap();
    assert_eq!(proxy.no_proxy.len(), 3);
    let pods: Vec<_> = bundle
        .groups()
        .iter()
        .map(|group| group.kubelet_configuration.unwrap()["maxPods"].clone())
        .collect();
    assert_eq!(pods, [50, 110]);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of faults")]
fn one_fault_is_one_problem_at_its_field() {
    let proxy = "http://proxy.example:3128";
    let policy = "apiVersion: audit.k8s.io/v1\n";
    // What stands there, what takes its place, the end of the field's path, and part of the message.
    let table = [
        (proxy, "''", "httpProxy", "is missing"),
        (proxy, "http://proxy.example", "httpProxy", "not the address"),
        (
            proxy,
            "socks5://proxy.example:1080",
            "httpProxy",
            "not the address",
        ),
        (
            proxy,
            "http://proxy.example:99999",
            "httpProxy",
            "not the address",
        ),
        (proxy, "http://:3128", "httpProxy", "not the address"),
        (proxy, "http://u:\"p@proxy:1", "httpProxy", "not the address"),
        (".example.com,", "'a, b',", "noProxy[1]", "neither a host"),
        (".example.com,", "http://x,", "noProxy[1]", "neither a host"),
        ("noProxy:", "noproxy:", "noproxy", "unknown field"),
        (
            "endpoint: mirror.example",
            "endpoint: https://mirror",
            "endpoint",
            "neither a host",
        ),
        (
            "endpoint: mirror.example",
            "endpoint: mirror:5000",
            "endpoint",
            "neither a host",
        ),
        (
            "endpoint: mirror.example",
            "endpoint: ''",
            "endpoint",
            "neither a host",
        ),
        (
            "endpoint: mirror.example",
            "endpoint: m\n    port: [5000]",
            "port",
            "a string is wanted",
        ),
        (
            "endpoint: mirror.example",
            "endpoint: m\n    port: '0'",
            "port",
            "is not a port",
        ),
        (
            "registry: docker.io",
            "registry: docker.io/library",
            "[0].registry",
            "is not a registry",
        ),
        (
            "registry: docker.io",
            "registry: ''",
            "[0].registry",
            "is not a registry",
        ),
        (
            "registry: docker.io",
            "registry: registry.k8s.io",
            "[1].registry",
            "stands here twice",
        ),
        (
            "namespace: hub/public",
            "namespace: /hub",
            "[0].namespace",
            "is not a path",
        ),
        (
            "namespace: hub/public",
            "namespace: hub//x",
            "[0].namespace",
            "is not a path",
        ),
        ("ZmFrZQ==", "not base64!", "caCertContent", "not a certificate"),
        (
            "-----END CERTIFICATE-----",
            "-----END-----",
            "caCertContent",
            "not a certificate",
        ),
        (
            "maxPods: 50",
            "maxPod: 50",
            "kubeletConfiguration.maxPod",
            "no field",
        ),
        (
            "maxPods: 50",
            "maxPods: '50'",
            "kubeletConfiguration.maxPods",
            "is not a number",
        ),
        (
            "maxPods: 50",
            "featureGates: x",
            "kubeletConfiguration.featureGates",
            "is not a mapping",
        ),
        (
            "maxPods: 50",
            "providerID: x",
            "kubeletConfiguration.providerID",
            "decides its providerID",
        ),
        (
            "maxPods: 50",
            "healthzPort: 1",
            "kubeletConfiguration.healthzPort",
            "kubeadm asks",
        ),
        (
            "cgroupDriver: systemd",
            "cgroupDriver: cgroupfs",
            "cgroupDriver",
            "systemd's cgroups",
        ),
        (
            "kind: KubeletConfiguration",
            "kind: Kubelet",
            "kubeletConfiguration.kind",
            "not the kind",
        ),
        (
            "{maxPods: 110}",
            "{maxpods: 110}",
            "[0].kubeletConfiguration.maxpods",
            "no field",
        ),
        (
            policy,
            "apiVersion: audit.k8s.io/v1beta1\n",
            "auditPolicyContent",
            "not those of an audit policy",
        ),
        (policy, "a: [\n", "auditPolicyContent", "not YAML"),
        (
            "level: Metadata",
            "level: All",
            "auditPolicyContent",
            "rules[1].level is \"All\"",
        ),
        (
            "level: Metadata",
            "level: Metadata\n        user: [x]",
            "auditPolicyContent",
            "unknown field \"user\"",
        ),
        (
            "[RequestReceived]",
            "[Received]",
            "auditPolicyContent",
            "not a stage",
        ),
        (
            "nonResourceURLs: [/healthz]",
            "nonResourceURLs: [/healthz]\n        namespaces: [x]",
            "auditPolicyContent",
            "and about resources",
        ),
        (
            "    auditPolicyContent",
            "    apiServerExtraArgs: {audit-log-path: /x}\n    auditPolicyContent",
            "apiServerExtraArgs.audit-log-path",
            "auditPolicyContent decides",
        ),
        (
            "    auditPolicyContent",
            "    skipAdmissionForSystemResources: true\n    auditPolicyContent",
            "skipAdmissionForSystemResources",
            "only the kube-apiserver of EKS Distro",
        ),
    ];
    for (from, to, path, message) in table {
        let problems = refused(from, to);
        let [problem] = problems.problems.as_slice() else {
            panic!("{from:?} -> {to:?}: {problems}");
        };
        assert!(
            problem.message.contains(message),
            "{from:?} -> {to:?}: {problems}"
        );
        assert!(problem.place.ends_with(path), "{}: wanted {path}", problem.place);
        assert!(problem.line > 1 && !problem.next_step.is_empty(), "{problem:?}");
    }
}

#[test]
fn resolv_conf_is_said_once() {
    let mut bundle = good();
    let control_plane = &mut bundle.cluster.spec.control_plane_configuration;
    control_plane.kubelet_configuration = Some(json!({ "resolvConf": "/etc/resolv.conf" }));
    assert_eq!(validate(&bundle, &releases()), []);
    let network = &mut bundle.cluster.spec.cluster_network;
    network.dns = serde_json::from_value(json!({ "resolvConf": { "path": "/etc/x" } })).unwrap();
    let found = validate(&bundle, &releases());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].path.ends_with("kubeletConfiguration.resolvConf"));
}

/// What is said of these fields.
fn said(fields: Value) -> Vec<cluster_spec::Violation> {
    let mut bundle = good();
    let control_plane = &mut bundle.cluster.spec.control_plane_configuration;
    control_plane.kubelet_configuration = Some(fields);
    validate(&bundle, &releases())
}

/// Every field that is accepted, with a value of the form that is accepted, is one that kubeadm reads strictly; and what it does
/// not know is refused.
#[test]
#[ignore = "needs kubeadm from the image cache: gantry image build kubernetes"]
fn real_kubeadm_knows_every_field() {
    let names = said(json!({ "unknown": 1 }))[0].next_step.clone();
    let (_, names) = names.split_once("the fields are ").unwrap();
    let mut fields = serde_json::Map::new();
    let mut fixed = BTreeSet::new();
    for name in names.split(", ") {
        let forms = [json!("1s"), json!(true), json!(1), json!([]), json!({})];
        let fits = forms
            .into_iter()
            .find(|form| said(json!({ name: form })).is_empty());
        match fits {
            Some(value) => drop(fields.insert(name.to_owned(), value)),
            None => drop(fixed.insert(name)),
        }
    }
    assert!(fields.len() > 100 && fixed.len() < 12, "{fixed:?}");
    let checked = |fields: &serde_json::Map<String, Value>| {
        let mut configuration =
            json!({ "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration" });
        for (name, value) in fields {
            configuration[name] = value.clone();
        }
        let cluster = json!({ "apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration" });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeadm.yaml");
        std::fs::write(&file, format!("{cluster}\n---\n{configuration}\n")).unwrap();
        let mut kubeadm = Command::new(sim::newest_build("kubeadm"));
        let output = kubeadm
            .args(["config", "validate", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (good, said) = checked(&fields);
    assert!(good, "{said}");
    fields.insert("unknown".to_owned(), json!(1));
    let (good, said) = checked(&fields);
    assert!(!good && said.contains("unknown"), "{said}");
}
