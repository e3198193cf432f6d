//! Credentials of the API: the listener's certificate, the admin's token and client certificate, and the kubeconfig
//! that carries them.
//!
//! The token lies with the keys, outside the data directory; the kubeconfig in the data directory is written anew at
//! each start and whenever its certificate is renewed, readable by its owner only. Its context `gantry` uses the token,
//! `gantry-certificate` a client certificate, for tools that know no tokens.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use apiserver::{Identity, Role};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use pki::{Credential, KeyDir, SiteCa, Validity};
use resources::Secret;
use serde_json::json;

use crate::error::Error;

/// Life of the certificates; they are made anew at each start, and while the appliance runs (`renewal`).
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
const TOKEN_FILE: &str = "admin.token";
/// Token of whoever collects metrics.
pub(crate) const METRICS_TOKEN_FILE: &str = "metrics.token";
/// Who collects metrics: the group that has this right in Kubernetes, too.
const MONITORING: &str = "system:monitoring";
/// The administrator's name as a user of the API.
pub(crate) const ADMIN: &str = "admin";

/// The admin's bearer token, made at the first start.
pub(crate) fn admin_token(keys: &KeyDir) -> Result<Secret<String>, Error> {
    token(keys, TOKEN_FILE)
}

/// The bearer token of whoever collects metrics, made at the first start: it opens `/metrics` and nothing else.
pub(crate) fn metrics_token(keys: &KeyDir) -> Result<Secret<String>, Error> {
    token(keys, METRICS_TOKEN_FILE)
}

/// Whom the token for metrics stands for.
pub(crate) fn monitoring() -> Identity {
    Identity {
        name: "metrics".to_owned(),
        groups: vec![MONITORING.to_owned()],
    }
}

/// What those who collect metrics may do.
pub(crate) fn monitoring_role() -> Role {
    Role {
        subjects: vec![MONITORING.to_owned()],
        verbs: vec!["get".to_owned()],
        paths: vec!["/metrics".to_owned()],
        ..Role::default()
    }
}

fn token(keys: &KeyDir, file: &str) -> Result<Secret<String>, Error> {
    let path = keys.path().join(file);
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

/// Life of a certificate that is made now.
pub(crate) fn validity(now: Timestamp) -> Validity {
    Validity::lasting(now, LIFE)
}

/// Certificate of a listener, for the site's name, `localhost` and the address.
pub(crate) fn server_certificate(
    ca: &SiteCa,
    address: IpAddr,
    validity: Validity,
) -> Result<Credential, pki::Error> {
    let mut addresses = vec![address];
    if address.is_unspecified() || address.is_loopback() {
        addresses = vec![IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap_or(address)];
    }
    ca.issue_server(&["localhost"], &addresses, validity)
}

/// The admin's client certificate; the token is what can be taken back, so it lives no longer than a listener's.
pub(crate) fn admin_certificate(ca: &SiteCa, validity: Validity) -> Result<Credential, pki::Error> {
    ca.issue_api_client(ADMIN, apiserver::MASTERS, validity)
}

/// Writes the admin's kubeconfig.
pub(crate) fn write_kubeconfig(
    path: &Path,
    api: SocketAddr,
    ca: &SiteCa,
    token: &Secret<String>,
    certificate: &Credential,
) -> Result<(), Error> {
    let host = if api.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], api.port()))
    } else {
        api
    };
    let context = |name: &str, user: &str| {
        let namespace = resources::keys::DEFAULT_NAMESPACE;
        json!({"name": name, "context": {"cluster": "gantry", "user": user, "namespace": namespace}})
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gantry", "cluster": {
            "server": format!("https://{host}"),
            "certificate-authority-data": STANDARD.encode(ca.ca_pem()),
        }}],
        "users": [
            {"name": ADMIN, "user": {"token": token.reveal()}},
            {"name": "admin-certificate", "user": {
                "client-certificate-data": STANDARD.encode(&certificate.certificate),
                "client-key-data": STANDARD.encode(certificate.key.reveal()),
            }},
        ],
        "contexts": [context("gantry", ADMIN), context("gantry-certificate", "admin-certificate")],
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
    use std::sync::Arc;

    use pki::{ClientCertificates, ServingCertificate};
    use tokio_util::sync::CancellationToken;

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

    /// The code of an answer; 200 when it is none of an error.
    async fn answer(config: kube::Config) -> u16 {
        use k8s_openapi::api::core::v1::Namespace;
        let client = kube::Client::try_from(config).unwrap();
        let namespaces: kube::Api<Namespace> = kube::Api::all(client);
        match namespaces.list(&kube::api::ListParams::default()).await {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_kubeconfig_works_by_token_and_by_certificate_and_an_agents_certificate_does_not() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(folder.path().join("keys")).unwrap();
        let ca = SiteCa::load_or_create(&keys, "test", Timestamp::now()).unwrap();
        let token = admin_token(&keys).unwrap();
        let sealer = Arc::new(apiserver::AesGcmSealer::new(&[7; 32]));
        let mut config = apiserver::Config::new(folder.path().join("state.db"), sealer);
        config.tokens = vec![(token.reveal().clone(), apiserver::Identity::admin(ADMIN))];
        let api = apiserver::ApiServer::open(config).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let now = validity(Timestamp::now());
        let own = ServingCertificate::new(&server_certificate(&ca, address.ip(), now).unwrap()).unwrap();
        let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
        let tls = pki::server_config(&ca, own, ClientCertificates::Optional, time).unwrap();
        let cancel = CancellationToken::new();
        let gate = listeners::Gate::new("test", apiserver::SHARES, |_| false, |_| {});
        let serving = apiserver::serve_tls(listener, Arc::new(tls), gate, api.router(), cancel.clone());
        let serving = tokio::spawn(serving);

        let path = folder.path().join("admin.kubeconfig");
        let admin = admin_certificate(&ca, now).unwrap();
        write_kubeconfig(&path, address, &ca, &token, &admin).unwrap();
        let config = |context: &str, file: kube::config::Kubeconfig| {
            let options = kube::config::KubeConfigOptions {
                context: Some(context.to_owned()),
                ..Default::default()
            };
            async move {
                kube::Config::from_custom_kubeconfig(file, &options)
                    .await
                    .unwrap()
            }
        };
        let file = kube::config::Kubeconfig::read_from(&path).unwrap();
        for context in ["gantry", "gantry-certificate"] {
            assert_eq!(
                answer(config(context, file.clone()).await).await,
                200,
                "{context}"
            );
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let hour = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1));
        let issued = ca.issue_attempt(&request.pem().unwrap(), "m-1", 1, hour).unwrap();
        let agent = Credential {
            certificate: issued.pem,
            key: Secret::new(key.serialize_pem()),
        };
        write_kubeconfig(&path, address, &ca, &token, &agent).unwrap();
        let file = kube::config::Kubeconfig::read_from(&path).unwrap();
        assert_eq!(answer(config("gantry-certificate", file).await).await, 401);
        cancel.cancel();
        serving.await.unwrap();
        api.close().await;
    }

    #[test]
    fn the_kubeconfig_is_private_and_names_a_reachable_address() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(folder.path().join("keys")).unwrap();
        let ca = SiteCa::load_or_create(&keys, "test", Timestamp::now()).unwrap();
        let path = folder.path().join("admin.kubeconfig");
        let token = Secret::new("obviously-fake".to_owned());
        let certificate = admin_certificate(&ca, validity(Timestamp::now())).unwrap();
        let api = SocketAddr::from(([0, 0, 0, 0], 7));
        write_kubeconfig(&path, api, &ca, &token, &certificate).unwrap();
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
