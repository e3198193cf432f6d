//! Text of a kubeconfig with everything inside (no file references).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resources::Secret;

use crate::Credential;

/// One cluster, one user, one context `<user>@<cluster>`.
pub(crate) fn admin(server: &str, cluster: &str, ca_pem: &str, client: &Credential) -> Secret<String> {
    let data = |pem: &str| STANDARD.encode(pem);
    // A JSON string is a YAML string, so any name is quoted right.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let user = format!("{cluster}-admin");
    let context = format!("{user}@{cluster}");
    Secret::new(format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {context}
  context:
    cluster: {cluster}
    user: {user}
current-context: {context}
",
        cluster = quoted(cluster),
        server = quoted(server),
        ca = data(ca_pem),
        user = quoted(&user),
        certificate = data(&client.certificate),
        key = data(client.key.reveal()),
        context = quoted(&context),
    ))
}
