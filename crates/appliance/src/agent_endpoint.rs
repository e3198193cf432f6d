//! The agent endpoint: one TLS listener for gRPC of agents and for the first boot of installed systems.
//!
//! A client certificate is optional at TLS, because the first call of an agent has none; every call checks the
//! [`pki::Identity`] that the accept loop put into its extensions, and nothing else, as proof of who calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A peer has so long for its TLS handshake and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Open connections beyond this wait in the listen queue.
const CONNECTIONS: usize = 1024;
/// A connection whose peer is gone without a word is dropped after two of these.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// What is under way at the end gets so long.
const DRAIN: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// What the endpoint serves and how.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) tls: Arc<rustls::ServerConfig>,
    /// Name of the site, which identities must be of.
    pub(crate) site: Arc<str>,
    pub(crate) router: Router,
}

/// Serves until cancelled; then running calls get a few seconds.
pub(crate) async fn run(listener: TcpListener, endpoint: Endpoint, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, endpoint.clone(), cancel.clone()));
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "agent endpoint does not accept");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, endpoint: Endpoint, cancel: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let Some((stream, identity)) = greet(stream, peer, &endpoint).await else {
        return;
    };
    let router = endpoint.router;
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(identity) = &identity {
            request.extensions_mut().insert(identity.clone());
        }
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, peer = %peer, "an agent's connection ended early");
    }
}

/// TLS, and who the peer is by it; nothing when there is nobody to serve.
async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    endpoint: &Endpoint,
) -> Option<(TlsStream<TcpStream>, Option<pki::Identity>)> {
    let acceptor = TlsAcceptor::from(endpoint.tls.clone());
    let refused = |error: &(dyn std::error::Error + 'static)| tracing::warn!(error, peer = %peer, "an agent is not let in");
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            refused(&error);
            return None;
        }
        Err(_) => return None,
    };
    match pki::peer_identity(stream.get_ref().1.peer_certificates(), &endpoint.site) {
        Ok(identity) => Some((stream, identity)),
        Err(error) => {
            refused(&error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::routing::get;
    use jiff::{SignedDuration, Timestamp};
    use pki::{ClientCertificates, KeyDir, SiteCa, Validity};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
        let tls = pki::server_config(&ca, &own, ClientCertificates::Optional).unwrap();
        let who = |identity: Option<axum::Extension<pki::Identity>>| async move {
            identity.map_or("nobody".to_owned(), |identity| match identity.0 {
                pki::Identity::Attempt { machine_id, .. } => machine_id,
                pki::Identity::FirstBoot { .. } => "an installed system".to_owned(),
            })
        };
        let endpoint = Endpoint {
            tls: Arc::new(tls),
            site: Arc::from("test"),
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
        let issued = ca.issue_attempt(&request.pem().unwrap(), "m-1", 1, hour).unwrap();
        let chain = vec![rustls_pki_types::CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        assert!(
            ask(address, client().with_client_auth_cert(chain, key).unwrap())
                .await
                .ends_with("m-1")
        );
        cancel.cancel();
        server.await.unwrap();
    }
}
