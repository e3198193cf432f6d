//! Credentials of the API: the listener's certificate, the admin's token, and the kubeconfig that carries both.
//!
//! The token lies with the keys, outside the data directory; the kubeconfig in the data directory is written anew at
//! each start, readable by its owner only.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use pki::{Credential, KeyDir, SiteCa, Validity};
use resources::Secret;
use serde_json::json;

use crate::error::Error;

/// Life of the listeners' certificates; they are made anew at each start.
const SERVER_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
const TOKEN_FILE: &str = "admin.token";

/// The admin's bearer token, made at the first start.
pub(crate) fn admin_token(keys: &KeyDir) -> Result<Secret<String>, Error> {
    let path = keys.path().join(TOKEN_FILE);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(Secret::new(text.trim().to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::file("read", &path)(error)),
    }
    let token = hex::encode(rand::random::<[u8; 32]>());
    pki::write_private(&path, token.as_bytes()).map_err(Error::file("write", &path))?;
    Ok(Secret::new(token))
}

/// Certificate of a listener, for the site's name, `localhost` and the address.
pub(crate) fn server_certificate(ca: &SiteCa, address: IpAddr) -> Result<Credential, pki::Error> {
    let mut addresses = vec![address];
    if address.is_unspecified() || address.is_loopback() {
        addresses = vec![IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap_or(address)];
    }
    ca.issue_server(
        &["localhost"],
        &addresses,
        Validity::lasting(Timestamp::now(), SERVER_LIFE),
    )
}

/// Writes the admin's kubeconfig.
pub(crate) fn write_kubeconfig(
    path: &Path,
    api: SocketAddr,
    ca: &SiteCa,
    token: &Secret<String>,
) -> Result<(), Error> {
    let host = if api.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], api.port()))
    } else {
        api
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gantry", "cluster": {
            "server": format!("https://{host}"),
            "certificate-authority-data": STANDARD.encode(ca.ca_pem()),
        }}],
        "users": [{"name": "admin", "user": {"token": token.reveal()}}],
        "contexts": [{"name": "gantry", "context": {
            "cluster": "gantry", "user": "admin", "namespace": resources::keys::DEFAULT_NAMESPACE,
        }}],
        "current-context": "gantry",
    });
    // JSON is YAML, and this file is for programs.
    let mut text = serde_json::to_string_pretty(&config).unwrap_or_default();
    text.push('\n');
    pki::write_private(path, text.as_bytes()).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_token_stays_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(folder.path().join("keys")).unwrap();
        let first = admin_token(&keys).unwrap();
        assert_eq!(first.reveal(), admin_token(&keys).unwrap().reveal());
        assert_eq!(mode(&keys.path().join(TOKEN_FILE)), 0o600);
    }

    #[test]
    fn the_kubeconfig_is_private_and_names_a_reachable_address() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(folder.path().join("keys")).unwrap();
        let ca = SiteCa::load_or_create(&keys, "test", Timestamp::now()).unwrap();
        let path = folder.path().join("admin.kubeconfig");
        let token = Secret::new("obviously-fake".to_owned());
        write_kubeconfig(&path, SocketAddr::from(([0, 0, 0, 0], 7)), &ca, &token).unwrap();
        assert_eq!(mode(&path), 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("https://127.0.0.1:7"), "{text}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no draft is left"
        );
    }
}
