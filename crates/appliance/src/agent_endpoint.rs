//! The agent endpoint: one TLS listener for gRPC of agents and for the first boot of installed systems.
//!
//! A client certificate is optional at TLS, because the first call of an agent has none. Each call carries what proves
//! who calls, and nothing else does: the [`pki::Identity`] of the connection, and the [`boot_script::Peer`] that
//! [`crate::callers`] grades by address and certificate.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::service::service_fn;
use listeners::{Gate, Limits, Peer, RequestBody, Shares};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use crate::callers::{Callers, grade};

/// Places of the endpoint. A machine has one or two connections.
pub(crate) const SHARES: Shares = Shares {
    total: 2048,
    strangers: 256,
    per_stranger: 16,
    per_known: 32,
    quiet: Duration::from_secs(2),
};

const LIMITS: Limits = Limits {
    // Emulated and busy machines take seconds for a handshake.
    first_request: Duration::from_secs(20),
    idle: Duration::from_secs(60),
    stall: Duration::from_secs(30),
    stall_known: Duration::from_secs(30),
    body: Duration::from_secs(30),
    lifetime: Duration::from_secs(60 * 60),
    ping: Duration::from_secs(20),
    streams: 32,
    head: 16 << 10,
};

/// What the endpoint serves and how.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) tls: Arc<rustls::ServerConfig>,
    /// Name of the site, which identities must be of.
    pub(crate) site: Arc<str>,
    pub(crate) gate: Gate,
    pub(crate) callers: Callers,
    pub(crate) router: Router,
}

/// Serves until cancelled; then running calls get a few seconds.
pub(crate) async fn run(listener: TcpListener, endpoint: Endpoint, cancel: CancellationToken) {
    let Endpoint {
        tls,
        site,
        gate,
        callers,
        router,
    } = endpoint;
    let graded = axum::middleware::from_fn_with_state(callers.clone(), grade);
    let router = router.layer(graded).layer(CatchPanicLayer::new());
    let service = move |peer: Peer<'_>| {
        let identity = match pki::peer_identity(Some(peer.certificates), &site) {
            Ok(identity) => identity,
            Err(error) => {
                callers.record_about(None, peer.address.ip(), causes::line(&error));
                return None;
            }
        };
        if identity.is_some() {
            peer.voucher.vouch();
        }
        let (router, address) = (router.clone(), peer.address);
        Some(service_fn(move |mut request: Request<RequestBody>| {
            request.extensions_mut().insert(ConnectInfo(address));
            if let Some(identity) = &identity {
                request.extensions_mut().insert(identity.clone());
            }
            router.clone().oneshot(request)
        }))
    };
    listeners::run_tls(listener, tls, gate, LIMITS, service, cancel).await;
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use axum::routing::get;
    use jiff::{SignedDuration, Timestamp};
    use pki::{ClientCertificates, KeyDir, ServingCertificate, SiteCa, Validity};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, tls: rustls::ClientConfig) -> String {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("test").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream
            .write_all(b"GET /who HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    /// The one NIC of a machine whose name and id are the same.
    fn view_of(name: &str, address: &str) -> Vec<Arc<boot_script::BootTarget>> {
        let hardware = serde_json::json!({"interfaces": [{"dhcp": {
            "mac": format!("52:54:00:00:00:0{}", address.chars().next_back().unwrap()),
            "ip": {"address": address},
        }}]});
        let hardware = serde_json::from_value(hardware).unwrap();
        let server = resources::gantry::ServerSpec {
            machine_id: name.to_owned(),
            ..Default::default()
        };
        let facts = boot_script::MachineFacts::new("n", name, hardware, Some((&server, None)));
        boot_script::BootTarget::all_of(facts)
    }

    #[tokio::test]
    async fn calls_see_the_identity_of_the_verified_certificate_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(folder.path().join("keys")).unwrap();
        let now = Timestamp::now();
        let ca = SiteCa::load_or_create(&keys, "test", now).unwrap();
        let hour = Validity::lasting(now, SignedDuration::from_hours(1));
        let own = ca
            .issue_server(&[], &[IpAddr::from([127, 0, 0, 1])], hour)
            .unwrap();
        let own = ServingCertificate::new(&own).unwrap();
        let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
        let tls = pki::server_config(&ca, own, ClientCertificates::Optional, time).unwrap();
        let who = |identity: Option<axum::Extension<pki::Identity>>| async move {
            identity.map_or("nobody".to_owned(), |identity| match identity.0 {
                pki::Identity::Attempt { machine_id, .. } => machine_id,
                pki::Identity::FirstBoot { .. } => "an installed system".to_owned(),
            })
        };
        let view = boot_script::ViewHandle::new();
        view.store(boot_script::BootView::new(view_of("m-1", "127.0.0.1")));
        let (events, mut records) = boot_script::EventSender::channel(10);
        let endpoint = Endpoint {
            tls: Arc::new(tls),
            site: Arc::from("test"),
            gate: Gate::new("test", SHARES, |_| false, |_| {}),
            callers: Callers {
                view: view.clone(),
                events,
            },
            router: Router::new().route("/who", get(who)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let server = tokio::spawn(run(listener, endpoint, cancel.clone()));

        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.ca_der().clone()).unwrap();
        let client = || {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = rustls::ClientConfig::builder_with_provider(provider);
            builder
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots.clone())
        };
        assert!(
            ask(address, client().with_no_client_auth())
                .await
                .ends_with("nobody")
        );
        use rustls_pki_types::pem::PemObject;
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let with_certificate_of = |machine: &str| {
            let issued = ca.issue_attempt(&request.pem().unwrap(), machine, 1, hour);
            let pem = issued.unwrap().pem;
            let chain = vec![rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
            client().with_client_auth_cert(chain, key.clone_key()).unwrap()
        };
        assert!(ask(address, with_certificate_of("m-1")).await.ends_with("m-1"));
        assert!(records.try_recv().is_err(), "nobody was refused");
        // The certificate of a machine with another address, and one of a machine that is gone.
        let mut all = view_of("m-1", "127.0.0.1");
        all.extend(view_of("m-2", "127.0.0.2"));
        view.store(boot_script::BootView::new(all));
        for (machine, about) in [("m-2", "m-2"), ("m-3", "127.0.0.1")] {
            let answer = ask(address, with_certificate_of(machine)).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
            let record = records.recv().await.unwrap();
            assert_eq!(record.machine, about, "{record:?}");
            assert!(record.event.text.starts_with("/who refused: "), "{record:?}");
        }
        cancel.cancel();
        server.await.unwrap();
    }
}
