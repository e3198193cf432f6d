//! Beside the real Helm: the same chart and values give the same text.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use helm_chart::Chart;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Files, files, object, release};

/// What Helm says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: String,
    values: Value,
    files: std::collections::BTreeMap<String, String>,
    manifests: Vec<Manifest>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    template: String,
}

fn helm(chart: &Path, values: &Value) -> Answer {
    let release = release();
    let request = json!({
        "chart": chart, "values": values, "name": release.name, "namespace": release.namespace,
        "kubeVersion": release.kube_version, "apiVersions": release.api_versions,
    });
    let mut child = Command::new(sim::newest_build("helm"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Certificates differ from one rendering to the next.
fn without_certificates(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let key = line.trim_start();
        let secret = ["ca.crt:", "ca.key:", "tls.crt:", "tls.key:"]
            .iter()
            .find(|name| key.starts_with(**name));
        secret.map_or(line, |name| *name)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Values that both refuse, with a word that is in both messages.
fn both_refuse(chart: &Chart, at: &Path, values: &Value, word: &str) {
    let theirs = helm(at, values).error;
    assert!(theirs.contains(word), "{values}: {theirs:?}");
    let ours = chart.render_texts(&release(), &object(values.clone()));
    let ours = ours.unwrap_err().to_string();
    assert!(
        ours.contains(word),
        "{values}: {ours:?}, and Helm says {theirs:?}"
    );
}

/// Compares values, every text, and the order of the objects.
fn compare(chart: &Chart, at: &Path, values: &Value) {
    let theirs = helm(at, values);
    assert_eq!(theirs.error, "", "{values}: Helm refuses it");
    let ours = chart.render_texts(&release(), &object(values.clone()));
    let merged = chart.merged_values(&object(values.clone())).unwrap();
    assert_eq!(
        as_floats(&Value::Object(merged)),
        as_floats(&theirs.values),
        "{values}"
    );
    let ours = ours.unwrap_or_else(|error| panic!("{values}: {error}"));
    let (our_names, their_names): (Vec<_>, Vec<_>) = (ours.keys().collect(), theirs.files.keys().collect());
    assert_eq!(our_names, their_names);
    let mut different = Vec::new();
    for (name, text) in &theirs.files {
        let (own, other) = (without_certificates(&ours[name]), without_certificates(text));
        let before = different.len();
        for (at, (own, other)) in own.lines().zip(other.lines()).enumerate() {
            if own != other {
                different.push(format!(
                    "{name}, line {}: {own:?}, and Helm has {other:?}",
                    at + 1
                ));
            }
        }
        if own != other && different.len() == before {
            different.push(format!("{name}: one is longer than the other"));
        }
    }
    assert!(different.is_empty(), "{values}: {}", different.join("\n"));
    let rendered = chart.render(&release(), &object(values.clone())).unwrap();
    let own: Vec<&str> = rendered
        .objects
        .iter()
        .map(|object| object.template.as_str())
        .collect();
    let other: Vec<&str> = theirs
        .manifests
        .iter()
        .map(|object| object.template.as_str())
        .collect();
    assert_eq!(own, other, "{values}");
}

fn as_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(as_floats).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), as_floats(value)))
            .collect(),
        other => other.clone(),
    }
}

/// The values of a cluster as EKS Anywhere has it, with what its users set beside.
#[test]
#[ignore = "needs Helm and Cilium's chart: cargo xtask peers, gantry image build cilium"]
fn real_cilium_renders_as_with_helm() {
    let packed = sim::newest_build("cilium.tgz");
    let chart = Chart::from_archive(&std::fs::read(&packed).unwrap()).unwrap();
    let anywhere = json!({
        "cni": { "chainingMode": "portmap" }, "ipam": { "mode": "kubernetes" }, "identityAllocationMode": "crd",
        "prometheus": { "enabled": true }, "rollOutCiliumPods": true, "tunnelProtocol": "geneve",
        "operator": { "prometheus": { "enabled": true }, "replicas": 1 }, "envoy": { "enabled": false },
        "image": { "repository": "registry.example/cilium", "tag": "v1", "useDigest": false },
    });
    for values in [
        json!({}),
        anywhere,
        json!({ "policyEnforcementMode": "always", "egressMasqueradeInterfaces": "eth0" }),
        json!({ "routingMode": "native", "ipv4NativeRoutingCIDR": "192.168.0.0/16", "autoDirectNodeRoutes": "true" }),
        json!({ "kubeProxyReplacement": "true", "k8sServiceHost": "192.0.2.1", "k8sServicePort": 6443 }),
        json!({ "hubble": { "relay": { "enabled": true }, "ui": { "enabled": true } } }),
        json!({ "hubble": { "tls": { "auto": { "method": "cronJob" } } } }),
        json!({ "hubble": { "enabled": false } }),
        json!({ "hubble": { "metrics": { "enabled": ["dns", "drop"], "dashboards": { "enabled": true } } } }),
        json!({ "ipv6": { "enabled": true }, "bpf": { "masquerade": true } }),
        json!({ "encryption": { "enabled": true, "type": "wireguard" } }),
        json!({ "gatewayAPI": { "enabled": true }, "kubeProxyReplacement": "true" }),
        json!({ "ingressController": { "enabled": true }, "kubeProxyReplacement": true }),
        json!({ "l2announcements": { "enabled": true }, "externalIPs": { "enabled": true }, "bgpControlPlane": { "enabled": true } }),
        json!({ "authentication": { "enabled": true, "mutual": { "spire": { "enabled": true } } } }),
        json!({ "clustermesh": { "useAPIServer": true }, "cluster": { "name": "a", "id": 3 } }),
        json!({ "preflight": { "enabled": true }, "agent": false, "operator": { "enabled": false } }),
        json!({ "resources": { "limits": { "cpu": "1", "memory": null } }, "tolerations": [], "extraConfig": { "a": "1" } }),
        json!({ "nodeinit": { "enabled": true }, "cni": { "exclusive": false }, "debug": { "enabled": true } }),
        json!({ "dashboards": { "enabled": true }, "operator": { "dashboards": { "enabled": true } } }),
        json!({ "updateStrategy": null, "podAnnotations": { "a": "b: c", "n": "1" } }),
        json!({ "eni": { "enabled": true }, "ipam": { "mode": "eni" } }),
    ] {
        compare(&chart, &packed, &values);
    }
    for (values, word) in [
        (json!({ "tunnel": "vxlan" }), "tunnel was deprecated in v1.14"),
        (
            json!({ "kubeProxyReplacement": "probe" }),
            "must be explicitly set to a valid value",
        ),
        (json!({ "ipam": 3 }), "ipam"),
    ] {
        both_refuse(&chart, &packed, &values, word);
    }
}

/// A chart with what Cilium's does not have.
#[test]
#[ignore = "needs Helm: cargo xtask peers"]
fn real_small_charts_render_as_with_helm() {
    let folder = tempfile::tempdir().unwrap();
    let all = files(&[
        (
            "Chart.yaml",
            "apiVersion: v2\nname: shed\nversion: 0.1.0\ndependencies:\n- {name: inner, version: 1.0.0, condition: inner.enabled}\n",
        ),
        (
            "values.yaml",
            "a: 1\nb: {c: [1, \"2\", 3.5, null, true]}\nbig: 12345678\ninner: {size: 2}\nglobal: {g: 1}\n",
        ),
        (
            "charts/inner/Chart.yaml",
            "apiVersion: v1\nname: inner\nversion: 1.0.0\n",
        ),
        (
            "charts/inner/values.yaml",
            "size: 1\nenabled: true\nkept: {x: y}\n",
        ),
        (
            "charts/inner/templates/x.yaml",
            "kind: ConfigMap\napiVersion: v1\nd: {{ .Values.size }} {{ .Values.global.g }}\n",
        ),
        ("files/a.txt", "one\ntwo\n"),
        ("files/b.txt", "x"),
        (
            "templates/_lib.tpl",
            "{{ define \"lib\" }}{{ . | quote }}{{ end }}",
        ),
        ("templates/a.yaml", TEXTS),
    ]);
    write(folder.path(), &all);
    let chart = Chart::from_files(all).unwrap();
    for values in [
        json!({}),
        json!({ "a": null, "b": { "d": "x" }, "inner": { "kept": null } }),
        json!({ "inner": { "enabled": false } }),
        json!({ "texts": TRICKY }),
        json!({ "texts": { "k": TRICKY, "a: b": 1, "10": 1, "9": 2, "a-b": { "c": [[1, 2], { "d": [] }, {}] } } }),
    ] {
        compare(&chart, folder.path(), &values);
    }
    both_refuse(&chart, folder.path(), &json!({ "inner": 3 }), "inner");
}

const TEXTS: &str = r#"kind: ConfigMap
apiVersion: v1
data:
  all: |
    a: {{ .Values.a }} {{ .Values.big }} {{ .Values.b }} {{ int .Values.big }}
    b: {{ toJson .Values.b }} {{ .Values.b.c | first }} {{ len .Values.b.c }}
    c: {{ include "lib" .Values.a }} {{ .Values.missing | default "d" | quote }} {{ list 1 "a" nil | toJson }}
    d: {{ .Files.Get "files/a.txt" | b64enc }} {{ .Files.Lines "files/a.txt" }}
    e: {{ range $p, $_ := .Files.Glob "files/*.txt" }}{{ $p }} {{ end }}
    f: {{ ternary "y" "n" (hasKey .Values "a") }} {{ trunc 3 "abcdef" }} {{ regexReplaceAll "a(.)" "abac" "${1}" }}
    g: {{ dict "b" 1 "a" (list 1 2.5) | toJson }} {{ merge (dict "a" 1) (dict "a" 2 "b" 3) | toJson }}
    h: {{ semverCompare "^1.30" "v1.35.4" }} {{ "A b" | snakecase }} {{ add 1 2.9 }} {{ div 7 2 }} {{ max 1 3 2 }}
{{ (.Files.Glob "files/*.txt").AsConfig | indent 2 }}
texts:
{{ toYaml .Values.texts | indent 2 }}
"#;

/// Texts that a writer of YAML has to think about.
const TRICKY: &[&str] = &[
    "",
    " ",
    "a",
    "a b",
    "yes",
    "No",
    "on",
    "true",
    "null",
    "~",
    "1",
    "1.5",
    "0x1f",
    "0644",
    "1e3",
    "1:20",
    "2024-01-02",
    "- a",
    "-a",
    "a: b",
    "a:b",
    "a #b",
    "a#b",
    "#a",
    "@a",
    "%a",
    "'a'",
    "\"a\"",
    "{a",
    "[a",
    "*a",
    "&a",
    "!a",
    "?a",
    "? a",
    ":a",
    "a\nb",
    "a\nb\n",
    "a\n\n",
    " a\nb",
    "a \nb",
    "tab\there",
    "é ü \u{1F600}",
    "a long text that goes on and on, so that a writer who folds lines at eighty columns has to fold it here, or here",
];

fn write(folder: &Path, all: &Files) {
    for (path, content) in all {
        let to = folder.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, content).unwrap();
    }
}
