//! The machines' registry mirror: a hosts.toml for each registry that it stands for, which containerd reads at each pull, the
//! certificates of its authority, and the credentials that containerd's own configuration must have.

use std::fmt::Write as _;

use resources::anywhere::{OciNamespace, RegistryMirrorConfiguration};
use serde_json::Value;

use crate::cluster::ClusterSettings;

/// Where containerd of the node image looks for hosts.toml files.
const HOSTS: &str = "/etc/containerd/certs.d";
/// Registries of a mirror that names none: EKS Anywhere's own, and those that the images of a Release come from.
const DEFAULT: [&str; 3] = ["public.ecr.aws", "registry.k8s.io", "ghcr.io"];

/// Paths, permission bits and texts; none without a mirror. `additions` is the path of the text that `bootstrap.sh` adds to
/// containerd's configuration.
pub(crate) fn files(cluster: &ClusterSettings, additions: String) -> Vec<(String, u32, String)> {
    let Some(mirror) = &cluster.registry_mirror else {
        return Vec::new();
    };
    let addresses = addresses(mirror);
    let mut files = Vec::new();
    if let Some(certificates) = &mirror.ca_cert_content {
        files.push((
            certificates_path(mirror),
            0o644,
            format!("{}\n", certificates.trim_end()),
        ));
    }
    for mapping in mappings(mirror) {
        if !addresses.contains(&mapping.registry) {
            let text = format!(
                "server = {}\n\n{}",
                quoted(&format!("https://{}", server(&mapping.registry))),
                host(mirror, &mapping.namespace)
            );
            files.push((format!("{HOSTS}/{}/hosts.toml", mapping.registry), 0o644, text));
        }
    }
    // Images that name the mirror itself.
    for address in &addresses {
        let path = format!("{HOSTS}/{address}/hosts.toml");
        files.push((path, 0o644, host(mirror, "")));
    }
    let credentials = cluster.registry_credentials.as_ref();
    let mut text = String::new();
    for address in addresses.iter().filter(|_| mirror.authenticate) {
        if let Some(credentials) = credentials {
            let _ = writeln!(
                text,
                "[plugins.\"@PLUGIN@\".registry.configs.{}.auth]\n  username = {}\n  password = {}",
                quoted(address),
                quoted(&credentials.username),
                quoted(credentials.password.reveal()),
            );
        }
    }
    files.push((additions, 0o600, text));
    files
}

/// The mirror as images may name it.
fn addresses(mirror: &RegistryMirrorConfiguration) -> Vec<String> {
    let port = mirror.port.as_deref().unwrap_or("443");
    let mut addresses = vec![format!("{}:{port}", mirror.endpoint)];
    if port == "443" {
        addresses.push(mirror.endpoint.clone());
    }
    addresses
}

fn mappings(mirror: &RegistryMirrorConfiguration) -> Vec<OciNamespace> {
    if !mirror.oci_namespaces.is_empty() {
        return mirror.oci_namespaces.clone();
    }
    let whole = |registry: &str| OciNamespace {
        registry: registry.to_owned(),
        namespace: String::new(),
    };
    DEFAULT.map(whole).to_vec()
}

/// Where a registry answers.
fn server(registry: &str) -> &str {
    match registry {
        "docker.io" => "registry-1.docker.io",
        other => other,
    }
}

fn certificates_path(mirror: &RegistryMirrorConfiguration) -> String {
    let address = addresses(mirror).into_iter().next().unwrap_or_default();
    format!("{HOSTS}/{address}/ca.crt")
}

/// The mirror as a host of a hosts.toml (containerd's docs/hosts.md). With a namespace the path is the whole one of the API.
fn host(mirror: &RegistryMirrorConfiguration, namespace: &str) -> String {
    let port = mirror.port.as_deref().unwrap_or("443");
    let address = format!("https://{}:{port}", mirror.endpoint);
    let (url, own_path) = match namespace {
        "" => (address, false),
        namespace => (format!("{address}/v2/{namespace}"), true),
    };
    let mut text = format!(
        "[host.{}]\n  capabilities = [\"pull\", \"resolve\"]\n",
        quoted(&url)
    );
    if own_path {
        text.push_str("  override_path = true\n");
    }
    if mirror.ca_cert_content.is_some() {
        let _ = writeln!(text, "  ca = {}", quoted(&certificates_path(mirror)));
    }
    if mirror.insecure_skip_verify {
        text.push_str("  skip_verify = true\n");
    }
    text
}

/// A TOML string. A JSON string is one, but for a character that TOML wants escaped.
fn quoted(value: &str) -> String {
    Value::from(value).to_string().replace('\u{7f}', "\\u007f")
}
