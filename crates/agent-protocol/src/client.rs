//! The agent's connection: to any address, but only to a server that proves the site's name.
//!
//! The clock of a machine without battery may be years off, so the certificate check takes its time from a
//! [`SteppedClock`] that the caller feeds, never from the system.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::Error;

/// Longest time for TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A clock that was told the time once (or again) and counts on by the monotonic clock.
#[derive(Debug)]
pub struct SteppedClock {
    start: Instant,
    /// Milliseconds since the Unix epoch at `start`.
    epoch_at_start: AtomicU64,
}

impl SteppedClock {
    /// `now` is the time since the Unix epoch.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            start: Instant::now(),
            epoch_at_start: AtomicU64::new(millis(now)),
        }
    }

    /// Steps the clock to `now`.
    pub fn set(&self, now: Duration) {
        let at_start = millis(now).saturating_sub(millis(self.start.elapsed()));
        self.epoch_at_start.store(at_start, Ordering::Relaxed);
    }

    /// Time since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_millis(self.epoch_at_start.load(Ordering::Relaxed)) + self.start.elapsed()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl TimeProvider for SteppedClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.now()))
    }
}

/// Certificate chain and key of the client, PEM.
#[derive(Clone)]
pub struct ClientIdentity {
    /// Certificate, leaf first.
    pub certificate_pem: String,
    /// PKCS#8 key.
    pub key_pem: String,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientIdentity [secret]")
    }
}

/// TLS 1.3 only, trusting `site_ca_pem` alone, at the time of `clock`.
///
/// # Errors
/// When CA, identity or provider are unusable.
pub fn client_config(
    provider: Arc<CryptoProvider>,
    site_ca_pem: &str,
    identity: Option<&ClientIdentity>,
    clock: Arc<SteppedClock>,
) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(site_ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|_| Error::SiteCa)?;
        roots.add(certificate).map_err(|_| Error::SiteCa)?;
    }
    if roots.is_empty() {
        return Err(Error::SiteCa);
    }
    let builder = ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Tls)?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| Error::ClientIdentity)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
                .map_err(|_| Error::ClientIdentity)?;
            builder.with_client_auth_cert(chain, key).map_err(Error::Tls)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A channel to `address` (`HOST:PORT`) that connects on first use and again after a loss, and believes only a
/// certificate for `site_name`.
///
/// # Errors
/// When address or name are malformed; network errors come from the calls.
pub fn connect(address: &str, site_name: &str, config: ClientConfig) -> Result<Channel, Error> {
    let wrong_address = || Error::Address {
        address: address.to_owned(),
    };
    if address
        .rsplit_once(':')
        .is_none_or(|(_, port)| port.parse::<u16>().is_err())
    {
        return Err(wrong_address());
    }
    let wrong_name = || Error::SiteName {
        name: site_name.to_owned(),
    };
    let name = ServerName::try_from(site_name.to_owned()).map_err(|_| wrong_name())?;
    let origin: Uri = format!("https://{site_name}").parse().map_err(|_| wrong_name())?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| wrong_address())?
        .origin(origin)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(15))
        .keep_alive_while_idle(true);
    let connector = TlsConnector::from(Arc::new(config));
    let address: Arc<str> = Arc::from(address);
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            let name = name.clone();
            let address = Arc::clone(&address);
            async move {
                let open = async {
                    let stream = TcpStream::connect(&*address).await?;
                    stream.set_nodelay(true)?;
                    connector.connect(name, stream).await
                };
                match tokio::time::timeout(CONNECT_TIMEOUT, open).await {
                    Ok(stream) => stream.map(TokioIo::new),
                    Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
                }
            }
        })),
    )
}
