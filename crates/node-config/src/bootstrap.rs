//! The bootstrap document: the files, the downloads and the command that make an installed system a node. It holds
//! secrets and goes only over the first boot's mutual TLS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resources::{Digest, Secret};
use serde::Serialize;

use crate::cluster::{AddressHolder, ClusterSettings, Profile};
use crate::error::Error;
use crate::join_secrets::JoinSecrets;
use crate::kubeadm::{PATCH_DIR, init_documents, join_document, patches};
use crate::node::{NodePlace, NodeSettings};
use crate::restore_etcd::restore_etcd_script;
use crate::{audit, keepalived, kube_vip, proxy, registry_mirror};

/// Where the files lie until the script puts them in place; `kubeadm reset` does not come here.
const STAGE: &str = "/var/lib/gantry/bootstrap";
const SCRIPT: &str = include_str!("bootstrap/bootstrap.sh");
/// Stage of a first boot that waits until a load balancer of the user's leads to its API server.
pub const LOAD_BALANCER_STAGE: &str = "load-balancer";
/// Drop-in of the lab for containerd, whose containers inherit it, and the kubelet. While a Go program works, its runtime
/// looks after its threads up to every 20 µs (`sysmon`), each time with a timer of its own; together these take half of
/// what an emulated processor has. Timers that may be a little late fall together (systemd.exec(5)).
const RELAXED_TIMERS: &str = "[Service]\nTimerSlackNSec=10ms\n";

/// One file of the document.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub content_base64: String,
}

impl std::fmt::Debug for BootstrapFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:o})", self.path, self.mode)
    }
}

/// A file that is too big for the document: the first boot gets it from the appliance by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Download {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Of the content.
    pub sha256: Digest,
    /// Bytes of the content.
    pub size: u64,
}

/// Files, downloads and command.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct BootstrapDocument {
    /// Files, written in this order.
    pub files: Vec<BootstrapFile>,
    /// Fetched in this order after the files were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub downloads: Vec<Download>,
    /// Program and arguments.
    pub command: Vec<String>,
}

impl std::fmt::Debug for BootstrapDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootstrapDocument")
            .field("files", &self.files)
            .field("downloads", &self.downloads)
            .field("command", &self.command)
            .finish()
    }
}

impl BootstrapDocument {
    /// The JSON that the first boot pulls.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn to_json(&self) -> Result<Secret<String>, Error> {
        serde_json::to_string(self)
            .map(Secret::new)
            .map_err(|source| Error::Json {
                what: "the bootstrap document",
                source,
            })
    }

    fn add(&mut self, path: String, mode: u32, content: &str) {
        self.files.push(BootstrapFile {
            path,
            mode,
            content_base64: STANDARD.encode(content),
        });
    }
}

/// The cluster's keys, as kubeadm names their files under `/etc/kubernetes/pki`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFiles {
    /// `ca.crt`.
    pub ca_certificate: String,
    /// `ca.key`.
    pub ca_key: Secret<String>,
    /// `etcd/ca.crt`.
    pub etcd_certificate: String,
    /// `etcd/ca.key`.
    pub etcd_key: Secret<String>,
    /// `front-proxy-ca.crt`.
    pub front_proxy_certificate: String,
    /// `front-proxy-ca.key`.
    pub front_proxy_key: Secret<String>,
    /// `sa.pub`.
    pub service_account_public: String,
    /// `sa.key`.
    pub service_account_private: Secret<String>,
}

/// Document of the first control-plane node. `token` becomes kubeadm's own bootstrap token, which nobody uses.
///
/// # Errors
/// When a text cannot be printed.
pub fn init(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    keys: &CaFiles,
    token: &Secret<String>,
) -> Result<BootstrapDocument, Error> {
    let mut document = start(
        cluster,
        node,
        "init",
        &init_documents(cluster, node, token.reveal())?,
    )?;
    control_plane_files(&mut document, cluster, node, keys)?;
    Ok(document)
}

/// A snapshot of etcd, as etcd sends it: with its own SHA-256 at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdSnapshot {
    /// Of the whole file.
    pub sha256: Digest,
    /// Bytes of the whole file.
    pub size: u64,
    /// Clients of the cluster have seen later data than these.
    pub is_older: bool,
}

/// Document of a first control-plane node that begins with the data of a snapshot: its etcd is the only member of a new
/// cluster with everything that the old one held. The snapshot is one of [`BootstrapDocument::downloads`].
///
/// # Errors
/// When a text cannot be printed.
pub fn restore(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    keys: &CaFiles,
    token: &Secret<String>,
    snapshot: EtcdSnapshot,
) -> Result<BootstrapDocument, Error> {
    let kubeadm = init_documents(cluster, node, token.reveal())?;
    let mut document = start(cluster, node, "restore", &kubeadm)?;
    document.command.push(node.name.clone());
    if snapshot.is_older {
        document.command.push("older".to_owned());
    }
    document.downloads.push(Download {
        path: format!("{STAGE}/etcd-snapshot.db"),
        mode: 0o600,
        sha256: snapshot.sha256,
        size: snapshot.size,
    });
    // bootstrap.sh looks for this name.
    document.add(format!("{STAGE}/restore-etcd.sh"), 0o600, &restore_etcd_script());
    control_plane_files(&mut document, cluster, node, keys)?;
    Ok(document)
}

/// Document of a further control-plane node.
///
/// # Errors
/// When a text cannot be printed.
pub fn join_control_plane(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    keys: &CaFiles,
    secrets: &JoinSecrets,
) -> Result<BootstrapDocument, Error> {
    let join = join_document(cluster, node, secrets, true)?;
    let mut document = start(cluster, node, "join-control-plane", &join)?;
    control_plane_files(&mut document, cluster, node, keys)?;
    Ok(document)
}

/// Document of a worker.
///
/// # Errors
/// When a text cannot be printed.
pub fn join_worker(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    secrets: &JoinSecrets,
) -> Result<BootstrapDocument, Error> {
    start(
        cluster,
        node,
        "join",
        &join_document(cluster, node, secrets, false)?,
    )
}

fn start(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    what: &str,
    kubeadm: &str,
) -> Result<BootstrapDocument, Error> {
    let script = format!("{STAGE}/bootstrap.sh");
    let (mac, ip) = match &node.place {
        NodePlace::Known { ip, mac, .. } => (mac.to_string(), ip.to_string()),
        NodePlace::Found => ("-".to_owned(), "-".to_owned()),
    };
    let command = [
        "/bin/sh",
        &script,
        what,
        &mac,
        &ip,
        &ignored(cluster.profile, what),
    ];
    let mut document = BootstrapDocument {
        files: Vec::new(),
        downloads: Vec::new(),
        command: command.map(str::to_owned).to_vec(),
    };
    document.add(script, 0o700, SCRIPT);
    document.add(format!("{STAGE}/kubeadm.yaml"), 0o600, kubeadm);
    for (name, patch) in patches(cluster, node)? {
        document.add(format!("{PATCH_DIR}/{name}"), 0o644, &patch);
    }
    if !node.time_servers.is_empty() {
        // bootstrap.sh looks for this name.
        let path = "/etc/systemd/timesyncd.conf.d/50-gantry.conf".to_owned();
        document.add(
            path,
            0o644,
            &format!("[Time]\nNTP={}\n", node.time_servers.join(" ")),
        );
    }
    for bundle in &node.cert_bundles {
        // bootstrap.sh looks for these names.
        let path = format!("/usr/local/share/ca-certificates/gantry-{}.crt", bundle.name);
        document.add(path, 0o644, &format!("{}\n", bundle.data.trim_end()));
    }
    for (path, drop_in) in proxy::files(cluster) {
        document.add(path, 0o600, &drop_in);
    }
    for (path, mode, text) in registry_mirror::files(cluster, format!("{STAGE}/containerd.toml.in")) {
        document.add(path, mode, &text);
    }
    if cluster.profile == Profile::Lab {
        for unit in ["containerd", "kubelet"] {
            let path = format!("/etc/systemd/system/{unit}.service.d/50-gantry-lab.conf");
            document.add(path, 0o644, RELAXED_TIMERS);
        }
    }
    Ok(document)
}

/// Checks of kubeadm that do not count: the static pod of the address lies there before kubeadm runs, so do restored data,
/// and a virtual machine of the lab may be small.
fn ignored(profile: Profile, what: &str) -> String {
    let mut checks = vec!["DirAvailable--etc-kubernetes-manifests"];
    if what == "restore" {
        checks.push("DirAvailable--var-lib-etcd");
    }
    if profile == Profile::Lab {
        checks.extend(["NumCPU", "Mem"]);
    }
    checks.join(",")
}

fn control_plane_files(
    document: &mut BootstrapDocument,
    cluster: &ClusterSettings,
    node: &NodeSettings,
    keys: &CaFiles,
) -> Result<(), Error> {
    for (name, mode, content) in [
        ("ca.crt", 0o644, &keys.ca_certificate),
        ("ca.key", 0o600, keys.ca_key.reveal()),
        ("etcd/ca.crt", 0o644, &keys.etcd_certificate),
        ("etcd/ca.key", 0o600, keys.etcd_key.reveal()),
        ("front-proxy-ca.crt", 0o644, &keys.front_proxy_certificate),
        ("front-proxy-ca.key", 0o600, keys.front_proxy_key.reveal()),
        ("sa.pub", 0o644, &keys.service_account_public),
        ("sa.key", 0o600, keys.service_account_private.reveal()),
    ] {
        document.add(format!("{STAGE}/pki/{name}"), mode, content);
    }
    if let Some(policy) = audit::policy(cluster) {
        document.add(audit::POLICY_PATH.to_owned(), 0o644, policy);
    }
    match &cluster.address_holder {
        AddressHolder::Keepalived { router_id } => {
            let configuration = keepalived::configuration(cluster, node, *router_id);
            document.add(format!("{STAGE}/keepalived.conf.in"), 0o600, &configuration);
            let manifest = keepalived::manifest(cluster)?;
            document.add(format!("{STAGE}/keepalived.yaml"), 0o600, &manifest);
        }
        AddressHolder::KubeVip { image } => {
            let manifest = kube_vip::manifest(cluster, image)?;
            document.add(format!("{STAGE}/kube-vip.yaml.in"), 0o600, &manifest);
        }
        AddressHolder::LoadBalancer => {}
    }
    Ok(())
}
