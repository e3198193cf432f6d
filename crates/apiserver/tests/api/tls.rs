//! The listener: token, client certificate, refusal, end of service.

use std::net::SocketAddr;
use std::sync::Arc;

use apiserver::{serve_tls, tls_config};
use futures::{StreamExt, TryStreamExt};
use kube::api::{DynamicObject, ListParams, WatchParams};
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Api, Client, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, code, widget_resource};

/// A listener on loopback with a CA of its own.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) ca: CertifiedIssuer<'static, KeyPair>,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Listener {
    pub(crate) async fn start(f: &Fixture) -> Listener {
        // A second test in this process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let serving = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let serving = serving.signed_by(&key, &ca).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = tls_config(vec![serving.der().clone()], key, &[ca.der().clone()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let service = serve_tls(listener, Arc::new(config), f.server.router(), cancel.clone());
        Listener {
            address,
            ca,
            cancel,
            task: tokio::spawn(service),
        }
    }

    /// A kubeconfig for a user with these credentials.
    pub(crate) fn kubeconfig(&self, user: &AuthInfo) -> serde_json::Value {
        use base64::Engine as _;
        let ca = base64::engine::general_purpose::STANDARD.encode(self.ca.pem());
        let server = format!("https://{}", self.address);
        serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": ca}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "default"}}]})
    }

    async fn widgets(&self, user: AuthInfo) -> Api<DynamicObject> {
        let kubeconfig = serde_json::from_value(self.kubeconfig(&user)).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        Api::namespaced_with(client, "default", &widget_resource())
    }

    fn certificate(&self, name: &str, group: &str) -> AuthInfo {
        use base64::Engine as _;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        let encode = |pem: String| base64::engine::general_purpose::STANDARD.encode(pem);
        serde_json::from_value(
            serde_json::json!({"client-certificate-data": encode(certificate.pem()),
            "client-key-data": encode(key.serialize_pem())}),
        )
        .unwrap()
    }
}

pub(crate) fn token(text: &str) -> AuthInfo {
    serde_json::from_value(serde_json::json!({"token": text})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_decide() {
    let f = Fixture::new().await;
    let listener = Listener::start(&f).await;
    let list = ListParams::default();
    assert!(
        listener
            .widgets(token("fake-admin-token"))
            .await
            .list(&list)
            .await
            .is_ok()
    );
    assert_eq!(
        code(
            listener
                .widgets(token("fake-guest-token"))
                .await
                .list(&list)
                .await
        ),
        403
    );
    assert_eq!(
        code(
            listener
                .widgets(token("fake-wrong-token"))
                .await
                .list(&list)
                .await
        ),
        401
    );
    assert_eq!(
        code(listener.widgets(AuthInfo::default()).await.list(&list).await),
        401
    );
    let admin = listener.certificate("jane", "system:masters");
    assert!(listener.widgets(admin).await.list(&list).await.is_ok());
    let nobody = listener.certificate("joe", "nobodies");
    assert_eq!(code(listener.widgets(nobody).await.list(&list).await), 403);
    // An open watch does not hold the listener up.
    let admin = listener.widgets(token("fake-admin-token")).await;
    let mut watch = admin.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    listener.cancel.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(4), listener.task)
        .await
        .unwrap()
        .unwrap();
    assert!(watch.try_next().await.unwrap().is_none());
}
