//! Proxy, registry mirror, audit policy and kubelet settings: what the programs that read these files make of them.

use std::process::Command;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use node_config::{BootstrapDocument, ClusterSettings, NodeSettings, Profile, init, join_worker};
use serde_json::{Value, json};

use crate::bootstrap::{content, validated};
use crate::demo::{cluster, cluster_with_settings, keys, node_with_settings, secrets};

fn control_plane(cluster: &ClusterSettings) -> BootstrapDocument {
    init(cluster, &node_with_settings(), &keys(), &secrets().token).unwrap()
}

/// The file whose path ends so.
fn file(document: &BootstrapDocument, end: &str) -> Option<String> {
    let mut files = document.files.iter();
    files.find(|file| file.path.ends_with(end)).map(content)
}

/// TOML as Python's standard library reads it.
fn toml(text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.toml");
    std::fs::write(&path, text).unwrap();
    let program = "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))))";
    let output = Command::new("python3")
        .args(["-c", program])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn hosts_are_what_containerd_reads() {
    let document = control_plane(&cluster_with_settings(Profile::Standard));
    let hosts = |registry: &str| {
        let text = file(
            &document,
            &format!("/etc/containerd/certs.d/{registry}/hosts.toml"),
        );
        text.map(|text| toml(&text))
    };
    let ca = "/etc/containerd/certs.d/mirror.example:5000/ca.crt";
    let pulls = json!(["pull", "resolve"]);
    assert_eq!(
        hosts("docker.io").unwrap(),
        json!({
            "server": "https://registry-1.docker.io",
            "host": { "https://mirror.example:5000/v2/hub": {
                "capabilities": pulls, "override_path": true, "ca": ca,
            } },
        })
    );
    assert_eq!(
        hosts("registry.k8s.io").unwrap(),
        json!({
            "server": "https://registry.k8s.io",
            "host": { "https://mirror.example:5000": { "capabilities": pulls, "ca": ca } },
        })
    );
    assert_eq!(
        hosts("mirror.example:5000").unwrap(),
        json!({ "host": { "https://mirror.example:5000": { "capabilities": pulls, "ca": ca } } })
    );
    let certificate = file(&document, "/mirror.example:5000/ca.crt").unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
    let additions = toml(&file(&document, "/containerd.toml.in").unwrap());
    let auth = &additions["plugins"]["@PLUGIN@"]["registry"]["configs"]["mirror.example:5000"]["auth"];
    let settings = cluster_with_settings(Profile::Standard);
    let credentials = settings.registry_credentials.unwrap();
    assert_eq!(auth["username"], credentials.username.as_str());
    assert_eq!(auth["password"], credentials.password.reveal().as_str());
}

#[test]
fn a_mirror_without_namespaces_stands_for_the_release_s_registries() {
    let mut settings = cluster_with_settings(Profile::Standard);
    let mirror = settings.registry_mirror.as_mut().unwrap();
    mirror.oci_namespaces.clear();
    mirror.port = None;
    mirror.ca_cert_content = None;
    mirror.insecure_skip_verify = true;
    let document = control_plane(&settings);
    let mut registries: Vec<&str> = document
        .files
        .iter()
        .filter_map(|file| {
            let path = file.path.strip_prefix("/etc/containerd/certs.d/")?;
            path.strip_suffix("/hosts.toml")
        })
        .collect();
    registries.sort_unstable();
    assert_eq!(
        registries,
        [
            "ghcr.io",
            "mirror.example",
            "mirror.example:443",
            "public.ecr.aws",
            "registry.k8s.io"
        ]
    );
    let text = file(&document, "/ghcr.io/hosts.toml").unwrap();
    assert_eq!(
        toml(&text)["host"]["https://mirror.example:443"]["skip_verify"],
        true
    );
    settings.registry_credentials = None;
    let document = control_plane(&settings);
    assert_eq!(file(&document, "/containerd.toml.in").unwrap(), "");
}

/// `systemd-analyze` is not everywhere; what matters is that a `%` does not begin a specifier.
#[test]
fn the_proxy_is_not_asked_for_the_cluster_itself() {
    for profile in [Profile::Standard, Profile::Lab] {
        let worker = NodeSettings {
            taints: None,
            ..node_with_settings()
        };
        let settings = cluster_with_settings(profile);
        for document in [
            control_plane(&settings),
            join_worker(&settings, &worker, &secrets()).unwrap(),
        ] {
            for unit in ["containerd", "kubelet"] {
                let text = file(&document, &format!("/{unit}.service.d/http-proxy.conf")).unwrap();
                assert_eq!(
                    text,
                    "[Service]\n\
                     Environment=\"HTTP_PROXY=http://user:p%%40ss@proxy.example:3128\"\n\
                     Environment=\"HTTPS_PROXY=proxy.example:3128\"\n\
                     Environment=\"NO_PROXY=10.244.0.0/16,10.96.0.0/12,192.0.2.0/24,localhost,127.0.0.1,.svc,\
                     .cluster.local,192.0.2.10,192.0.2.5\"\n",
                    "{unit}"
                );
            }
        }
    }
}

#[test]
fn the_audit_log_has_a_policy_unless_the_user_or_the_lab_says_otherwise() {
    let policy = |settings: &ClusterSettings| {
        let document = control_plane(settings);
        let configuration = file(&document, "/kubeadm.yaml").unwrap();
        let policy = file(&document, "/etc/kubernetes/audit-policy.yaml");
        assert_eq!(
            configuration.contains("hostPath: /etc/kubernetes/audit-policy.yaml"),
            policy.is_some()
        );
        policy
    };
    let own = "level: RequestResponse";
    for profile in [Profile::Standard, Profile::Lab] {
        assert!(policy(&cluster_with_settings(profile)).unwrap().contains(own));
    }
    assert!(
        policy(&cluster(Profile::Standard))
            .unwrap()
            .contains("level: Metadata")
    );
    assert_eq!(policy(&cluster(Profile::Lab)), None);
    let mut settings = cluster(Profile::Standard);
    let file = ("audit-policy-file".to_owned(), "/srv/policy.yaml".to_owned());
    settings.api_server_extra_args.extend([file]);
    assert_eq!(policy(&settings), None);
}

#[test]
#[ignore = "needs kubeadm from the image cache: gantry image build kubernetes"]
fn real_kubeadm_takes_the_kubelet_s_settings() {
    let document = control_plane(&cluster_with_settings(Profile::Standard));
    let configuration = file(&document, "/kubeadm.yaml").unwrap();
    let patch = file(&document, "/kubeletconfiguration0+strategic.yaml").unwrap();
    let documents: Vec<&str> = configuration
        .split("---\n")
        .filter(|document| !document.contains("kind: KubeletConfiguration"))
        .chain([patch.as_str()])
        .collect();
    assert_eq!(validated(&documents.join("---\n")), Ok("ok\n".to_owned()));
}

/// What kubeadm writes for the kubelet: the cluster's settings with the machine's own over them.
#[test]
#[ignore = "needs kubeadm from the image cache: gantry image build kubernetes"]
fn real_kubeadm_lays_the_settings_over_the_cluster_s() {
    let document = control_plane(&cluster_with_settings(Profile::Standard));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (patches, written) = (at("patches"), at("written"));
    std::fs::create_dir(&patches).unwrap();
    std::fs::create_dir(&written).unwrap();
    let patch = "kubeletconfiguration0+strategic.yaml";
    std::fs::write(patches.join(patch), file(&document, patch).unwrap()).unwrap();
    let configuration = file(&document, "/kubeadm.yaml").unwrap();
    let configuration = configuration.replace("/etc/kubernetes/patches", patches.to_str().unwrap());
    std::fs::write(at("kubeadm.yaml"), configuration).unwrap();
    let output = Command::new(sim::newest_build("kubeadm"))
        .args(["init", "phase", "kubelet-start", "--dry-run", "--config"])
        .arg(at("kubeadm.yaml"))
        .env("KUBEADM_INIT_DRYRUN_DIR", &written)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = std::fs::read_to_string(written.join("config.yaml")).unwrap();
    let kubelet: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(kubelet["maxPods"], 50, "{text}");
    assert_eq!(
        kubelet["evictionHard"],
        json!({ "memory.available": "200Mi" }),
        "{text}"
    );
    assert_eq!(kubelet["cgroupDriver"], "systemd", "{text}");
    assert_eq!(kubelet["clusterDNS"], json!(["10.96.0.10"]), "{text}");
}

/// A real API server with each policy: it starts, and notes the creation of an object; its content only where the policy says so.
#[tokio::test]
#[ignore = "needs kube-apiserver and etcd from the image cache: gantry image build kubernetes etcd"]
async fn real_api_server_keeps_an_audit_log() {
    for settings in [
        cluster(Profile::Standard),
        cluster_with_settings(Profile::Standard),
    ] {
        let document = control_plane(&settings);
        let folder = tempfile::tempdir().unwrap();
        let (policy, log) = (folder.path().join("policy.yaml"), folder.path().join("audit.log"));
        std::fs::write(&policy, file(&document, "/audit-policy.yaml").unwrap()).unwrap();
        let server = sim::Kubernetes::start_with(&[
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", log.display()),
            "--audit-log-maxage=30".to_owned(),
            "--audit-log-maxbackup=10".to_owned(),
            "--audit-log-maxsize=512".to_owned(),
        ])
        .await;
        let maps: Api<ConfigMap> = Api::namespaced(server.client().await, "default");
        let map = json!({ "metadata": { "name": "noted" }, "data": { "key": "its content" } });
        let map = serde_json::from_value(map).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
        let lines = std::fs::read_to_string(&log).unwrap();
        let events: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let created = events
            .iter()
            .find(|event| event["objectRef"]["name"] == "noted" && event["stage"] == "ResponseComplete");
        let created = created.unwrap_or_else(|| panic!("{lines}\n{}", server.logs()));
        assert_eq!(created["verb"], "create");
        assert_eq!(lines.contains("its content"), settings.audit_policy.is_some());
        if settings.audit_policy.is_none() {
            let quiet = |event: &Value| event["objectRef"]["resource"] == "leases";
            assert!(!events.iter().any(quiet), "{lines}");
        }
    }
}
