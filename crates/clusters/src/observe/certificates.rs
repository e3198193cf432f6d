//! The certificates that the members of a control plane show: of their API servers and of their etcds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use pki::{ServedCertificate, ServedCertificateProbe};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::workload::Failure;

/// Longest time that one handshake takes.
const LIMIT: Duration = Duration::from_secs(5);
/// Looks at the certificates that machines show. A trait, because tests play machines.
pub trait Certificates: std::fmt::Debug + Send + Sync {
    /// The certificate at an address, which must be of this authority (PEM); whether it still counts is of no account.
    fn served(
        &self,
        address: SocketAddr,
        authority: Arc<str>,
    ) -> BoxFuture<'_, Result<ServedCertificate, Failure>>;
}

/// Looks at real machines, by a TLS handshake.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsCertificates;

impl Certificates for TlsCertificates {
    fn served(
        &self,
        address: SocketAddr,
        authority: Arc<str>,
    ) -> BoxFuture<'_, Result<ServedCertificate, Failure>> {
        async move {
            let look = handshake(address, &authority);
            let seconds = LIMIT.as_secs();
            tokio::time::timeout(LIMIT, look)
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {seconds} s")))
        }
        .boxed()
    }
}

async fn handshake(address: SocketAddr, authority: &str) -> Result<ServedCertificate, Failure> {
    let probe = ServedCertificateProbe::new(authority).map_err(|error| causes::line(&error))?;
    let config = probe.config().map_err(|error| causes::line(&error))?;
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| causes::line(&error))?;
    let connector = TlsConnector::from(Arc::new(config));
    let result = connector
        .connect(ServedCertificateProbe::name(address.ip()), stream)
        .await;
    // A server that wants a certificate of ours may end the connection, when it has shown its own.
    match (probe.seen(), result) {
        (Some(seen), _) => Ok(seen),
        (None, Err(error)) => Err(causes::line(&error)),
        (None, Ok(_)) => Err("it shows no certificate".to_owned()),
    }
}

/// Authorities of a cluster (PEM): of its API and of its etcd.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    pub(crate) api: Arc<str>,
    pub(crate) etcd: Arc<str>,
}

/// What a member of the control plane has shown last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CertificatesSeen {
    /// Its API server.
    pub(crate) api: Option<ServedCertificate>,
    /// Its etcd.
    pub(crate) etcd: Option<ServedCertificate>,
}

impl CertificatesSeen {
    /// When the first of them ends.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        let all = [self.api, self.etcd].into_iter().flatten();
        all.map(|served| served.not_after).min()
    }
}
