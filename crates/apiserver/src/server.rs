//! The TLS listener: HTTP/1.1 and HTTP/2 on tokio, identity from a verified client certificate.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::authn::Identity;
use crate::error::Error;
use crate::service::{ListenerEnd, Router};

/// A client has so long for its TLS handshake and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Open connections beyond this wait in the listen queue.
const CONNECTIONS: usize = 1024;
/// After the end is asked for, requests under way have so long.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after `accept` failed, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// TLS for the API listener: a certificate is asked of clients, and checked against `client_ca` when one is shown.
/// Uses the process-wide crypto provider.
pub fn tls_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_ca: &[CertificateDer<'static>],
) -> Result<rustls::ServerConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in client_ca {
        roots.add(certificate.clone()).map_err(Error::Tls)?;
    }
    let builder = rustls::ServerConfig::builder();
    let builder = if roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build();
        builder.with_client_cert_verifier(verifier.map_err(|e| Error::ClientCa(e.to_string()))?)
    };
    let mut config = builder.with_single_cert(chain, key).map_err(Error::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until cancelled; then open requests get a few seconds to end.
pub async fn serve_tls(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    router: Router,
    cancel: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(config);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = connections.join_next(), if connections.len() >= CONNECTIONS => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let connection = serve_one(acceptor.clone(), stream, router.clone(), cancel.clone());
                    connections.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(error = %error, "accepting an API connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve_one(acceptor: TlsAcceptor, stream: TcpStream, router: Router, cancel: CancellationToken) {
    // Without it each small watch event waits for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(error = %error, "TLS handshake of an API client failed");
            return;
        }
        Err(_) => return,
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let identity = certificates
        .and_then(|chain| chain.first())
        .and_then(|c| Identity::from_certificate(c));
    let end = ListenerEnd(cancel.clone());
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(end.clone());
        if let Some(identity) = &identity {
            request.extensions_mut().insert(identity.clone());
        }
        router.clone().call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => log_end(done),
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            log_end(connection.await);
        }
    }
}

fn log_end(done: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = done {
        tracing::debug!(error = %error, "an API connection ended early");
    }
}
