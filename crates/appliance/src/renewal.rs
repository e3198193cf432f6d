//! Renewal of certificates while the appliance runs. The clock is given, so that a test can run years.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pki::{ServingCertificate, SiteCa, Validity};
use resources::Secret;
use tokio_util::sync::CancellationToken;

use crate::credentials;
use crate::error::Error;
use crate::tasks::Tasks;

/// How often the clock is looked at; a failed renewal is tried again as soon. A clock that was set anew counts within
/// this time as well.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The certificate of a listener.
#[derive(Debug)]
pub(crate) struct Serving {
    ca: Arc<SiteCa>,
    address: IpAddr,
    certificate: Arc<ServingCertificate>,
}

impl Serving {
    /// Makes the first one, and says how long it counts.
    pub(crate) fn new(
        ca: Arc<SiteCa>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(Self, Validity), pki::Error> {
        let validity = credentials::validity(now);
        let first = credentials::server_certificate(&ca, address, validity)?;
        let certificate = ServingCertificate::new(&first)?;
        let serving = Self {
            ca,
            address,
            certificate,
        };
        Ok((serving, validity))
    }

    /// What the listener shows.
    pub(crate) fn certificate(&self) -> Arc<ServingCertificate> {
        self.certificate.clone()
    }

    /// Shows another one from now on.
    pub(crate) fn renew(&self, now: Timestamp) -> Result<Validity, Error> {
        let validity = credentials::validity(now);
        credentials::server_certificate(&self.ca, self.address, validity)
            .and_then(|next| self.certificate.replace(&next))
            .map_err(Error::part("certificate"))?;
        Ok(validity)
    }
}

/// The admin's kubeconfig with a client certificate in it.
#[derive(Debug)]
pub(crate) struct AdminFile {
    pub(crate) ca: Arc<SiteCa>,
    pub(crate) path: PathBuf,
    /// Where the API listens.
    pub(crate) api: SocketAddr,
    pub(crate) token: Secret<String>,
}

impl AdminFile {
    /// Writes it with another certificate, and says how long that counts.
    pub(crate) fn write(&self, now: Timestamp) -> Result<Validity, Error> {
        let validity = credentials::validity(now);
        let admin = credentials::admin_certificate(&self.ca, validity);
        let admin = admin.map_err(Error::part("admin kubeconfig"))?;
        credentials::write_kubeconfig(&self.path, self.api, &self.ca, &self.token, &admin)?;
        Ok(validity)
    }
}

/// Starts [`keep`] by the clock of this machine.
pub(crate) fn spawn(
    what: &'static str,
    validity: Validity,
    tasks: &mut Tasks,
    renew: impl Fn(Timestamp) -> Result<Validity, Error> + Send + 'static,
) {
    let kept = keep(
        what,
        validity,
        (Timestamp::now, tokio::time::sleep),
        renew,
        tasks.cancel(),
    );
    tasks.spawn_infallible(what, kept);
}

/// Makes a certificate anew when its time has come, until cancelled. `renew` makes one at a moment and puts it to use.
async fn keep<F: Future<Output = ()>>(
    what: &'static str,
    mut validity: Validity,
    (clock, sleep): (impl Fn() -> Timestamp, impl Fn(Duration) -> F),
    renew: impl Fn(Timestamp) -> Result<Validity, Error>,
    cancel: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = sleep(EVERY) => {}
        }
        let now = clock();
        if !validity.is_renewal_due(now) {
            continue;
        }
        match renew(now) {
            Ok(renewed) => {
                validity = renewed;
                tracing::info!(what, until = %validity.not_after(), "certificate renewed");
            }
            Err(error) => {
                let until = validity.not_after();
                tracing::error!(what, %until, error = %causes::line(&error), "certificate not renewed; tried again in an hour");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::SignedDuration;
    use pki::{ClientCertificates, KeyDir};
    use rustls::RootCertStore;
    use rustls::time_provider::TimeProvider;
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

    use super::*;

    /// Seconds since 1970, which the test moves on.
    #[derive(Debug, Clone)]
    struct Virtual(Arc<AtomicI64>);

    impl Virtual {
        fn new() -> Self {
            let begin: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
            Self(Arc::new(AtomicI64::new(begin.as_second())))
        }

        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }

        fn pass(&self, time: Duration) {
            let seconds = i64::try_from(time.as_secs()).unwrap();
            self.0.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    impl TimeProvider for Virtual {
        fn current_time(&self) -> Option<UnixTime> {
            let seconds = u64::try_from(self.now().as_second()).unwrap();
            Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
        }
    }

    /// A handshake as kubectl and agents make it, at the clock's time: the CA is all that they trust. Gives the server's
    /// certificate and whether the server saw the client's.
    async fn shake(
        tls: &Arc<rustls::ServerConfig>,
        ca: &SiteCa,
        own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
        clock: &Virtual,
    ) -> Result<(CertificateDer<'static>, bool), String> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.ca_der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_details(provider, Arc::new(clock.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match own {
            Some((certificate, key)) => client.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => client.with_no_client_auth(),
        };
        let (near, far) = tokio::io::duplex(1 << 16);
        let acceptor = tokio_rustls::TlsAcceptor::from(tls.clone());
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let name = "test".try_into().unwrap();
        let (server, client) = tokio::join!(acceptor.accept(far), connector.connect(name, near));
        let client = client.map_err(|error| error.to_string())?;
        let server = server.map_err(|error| error.to_string())?;
        let shown = client.get_ref().1.peer_certificates().unwrap()[0].clone();
        Ok((shown, server.get_ref().1.peer_certificates().is_some()))
    }

    /// The admin's client certificate out of the kubeconfig.
    fn of_kubeconfig(path: &std::path::Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        use base64::Engine as _;
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let data = |key: &str| {
            let text = file["users"][1]["user"][key].as_str().unwrap();
            base64::engine::general_purpose::STANDARD.decode(text).unwrap()
        };
        (
            CertificateDer::from_pem_slice(&data("client-certificate-data")).unwrap(),
            PrivateKeyDer::from_pem_slice(&data("client-key-data")).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_process_that_runs_for_years_keeps_serving() {
        let (clock, begin) = (Virtual::new(), Virtual::new().now());
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(folder.path().join("keys")).unwrap();
        let ca = Arc::new(SiteCa::load_or_create(&keys, "test", begin).unwrap());
        let address = IpAddr::from([192, 0, 2, 1]);
        let started = || {
            let (serving, validity) = Serving::new(ca.clone(), address, begin).unwrap();
            let (optional, time) = (ClientCertificates::Optional, Arc::new(clock.clone()));
            let tls = pki::server_config(&ca, serving.certificate(), optional, time).unwrap();
            (serving, validity, Arc::new(tls))
        };
        let (serving, validity, tls) = started();
        let (_, _, forgotten) = started();
        let kubeconfig = AdminFile {
            ca: ca.clone(),
            path: folder.path().join("admin.kubeconfig"),
            api: SocketAddr::new(address, 6443),
            token: Secret::new("obviously-fake".to_owned()),
        };
        kubeconfig.write(begin).unwrap();
        let first_client = of_kubeconfig(&kubeconfig.path);

        let (shown, cancel) = (RefCell::new(Vec::new()), CancellationToken::new());
        let month = Cell::new(begin);
        let sleep = async |time| {
            clock.pass(time);
            if clock.now().duration_since(month.get()) < SignedDuration::from_hours(24 * 30) {
                return;
            }
            month.set(clock.now());
            let client = of_kubeconfig(&kubeconfig.path);
            let (certificate, seen) = shake(&tls, &ca, Some(client), &clock).await.unwrap();
            assert!(seen);
            shown.borrow_mut().push(certificate);
            if clock.now().duration_since(begin) > SignedDuration::from_hours(24 * 365 * 2) {
                cancel.cancel();
            }
        };
        let renew = |now| serving.renew(now).and_then(|_| kubeconfig.write(now));
        keep("all", validity, (|| clock.now(), sleep), renew, cancel.clone()).await;

        let mut shown = shown.into_inner();
        assert_eq!(shown.len(), 25, "every month of two years");
        shown.dedup();
        assert_eq!(shown.len(), 4, "renewed every eight months");
        // What nobody renews ends: the certificates of the first day are refused by now.
        let refused = shake(&forgotten, &ca, None, &clock).await.unwrap_err();
        assert!(refused.contains("expired"), "{refused}");
        let refused = shake(&tls, &ca, Some(first_client), &clock).await.unwrap_err();
        assert!(refused.contains("expired"), "{refused}");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_is_tried_again() {
        let (clock, begin) = (Virtual::new(), Virtual::new().now());
        let cancel = CancellationToken::new();
        let tries = Cell::new(0);
        let validity = Validity::lasting(begin, SignedDuration::from_hours(24));
        let renew = |now| {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                return Err(Error::NoParts);
            }
            cancel.cancel();
            Ok(credentials::validity(now))
        };
        let sleep = async |time| clock.pass(time);
        keep("test", validity, (|| clock.now(), sleep), renew, cancel.clone()).await;
        assert_eq!(tries.get(), 3);
        let after = clock.now().duration_since(begin);
        assert!(after < SignedDuration::from_hours(20), "{after}");
    }
}
