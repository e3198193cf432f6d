//! The listener: token, client certificate, refusal, end of service.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use apiserver::serve_tls;
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, ListParams, WatchParams};
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Api, Client, Config};
use listeners::Gate;
use pki::{ClientCertificates, KeyDir, ServingCertificate, SiteCa, Validity};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, code, widget_resource};

/// A listener on loopback with a CA of its own.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<()>,
    ca: SiteCa,
    serving: Arc<ServingCertificate>,
}

fn credential(ca: &SiteCa) -> pki::Credential {
    ca.issue_server(&["localhost"], &[IpAddr::from([127, 0, 0, 1])], hour())
        .unwrap()
}

fn hour() -> Validity {
    Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1))
}

impl Listener {
    pub(crate) async fn start(f: &Fixture) -> Listener {
        // A second test in this process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let keys = KeyDir::open(f.dir.path().join("keys")).unwrap();
        let ca = SiteCa::load_or_create(&keys, "test", Timestamp::now()).unwrap();
        let serving = ServingCertificate::new(&credential(&ca)).unwrap();
        let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
        let config = pki::server_config(&ca, serving.clone(), ClientCertificates::Optional, time).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let gate = Gate::new("test", apiserver::SHARES, |address| address.is_loopback(), |_| {});
        let service = serve_tls(
            listener,
            Arc::new(config),
            gate,
            f.server.router(),
            cancel.clone(),
        );
        Listener {
            address,
            cancel,
            task: tokio::spawn(service),
            ca,
            serving,
        }
    }

    /// A kubeconfig for a user with these credentials.
    pub(crate) fn kubeconfig(&self, user: &AuthInfo) -> serde_json::Value {
        use base64::Engine as _;
        let ca = base64::engine::general_purpose::STANDARD.encode(self.ca.ca_pem());
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
        let own = self.ca.issue_api_client(name, group, hour()).unwrap();
        let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
        serde_json::from_value(
            serde_json::json!({"client-certificate-data": encode(&own.certificate),
            "client-key-data": encode(own.key.reveal())}),
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

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_exchanged_while_connections_are_open() {
    let f = Fixture::new().await;
    let listener = Listener::start(&f).await;
    let client = listener.widgets(token("fake-admin-token")).await;
    let mut watch = client.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let shown = || async {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(listener.ca.ca_der().clone()).unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = tokio::net::TcpStream::connect(listener.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect("127.0.0.1".try_into().unwrap(), stream)
            .await
            .unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = shown().await;
    assert_eq!(before, shown().await);
    listener.serving.replace(&credential(&listener.ca)).unwrap();
    let after = shown().await;
    assert_ne!(before, after);
    // What was open goes on, and who comes trusts as before.
    let widget = serde_json::json!({"apiVersion": "example.dev/v1", "kind": "Widget",
        "metadata": {"name": "late", "namespace": "default"}, "spec": {"size": 1}});
    f.create(widget).await.unwrap();
    let event = tokio::time::timeout(std::time::Duration::from_secs(20), watch.try_next());
    assert!(event.await.unwrap().unwrap().is_some());
    let again = listener.widgets(token("fake-admin-token")).await;
    assert!(again.get("late").await.is_ok());
    listener.cancel.cancel();
}
