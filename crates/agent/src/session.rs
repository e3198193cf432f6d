//! The boot session: a key made in memory, the claim, and the certificate that everything later is authorised by.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent_protocol::v1::claim_response::Outcome;
use agent_protocol::v1::sessions_client::SessionsClient;
use agent_protocol::v1::{ClaimRequest, FirstBootRequest, FirstBootResponse, Granted, RenewRequest};
use agent_protocol::{ClientIdentity, SteppedClock, client_config, connect};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::CryptoProvider;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::{Console, Error, system};

/// Time limit of the calls that answer at once.
pub(crate) const CALL: Duration = Duration::from_secs(20);
/// Certificates live for an hour.
const RENEW_AFTER: Duration = Duration::from_secs(20 * 60);
/// What a refused agent waits when it is not told.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// A P-256 key that never leaves the machine.
#[derive(Debug)]
pub struct MachineKey(KeyPair);

impl MachineKey {
    /// Makes one.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn generate() -> Result<Self, Error> {
        KeyPair::generate().map(Self).map_err(Error::Key)
    }

    /// From PKCS#8, PEM.
    ///
    /// # Errors
    /// When it is no key.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        KeyPair::from_pem(pem).map(Self).map_err(Error::Key)
    }

    /// The private key, PKCS#8, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A certificate request without names: the appliance writes those.
    ///
    /// # Errors
    /// When signing fails.
    pub fn request_pem(&self) -> Result<String, Error> {
        let request = CertificateParams::default()
            .serialize_request(&self.0)
            .map_err(Error::Key)?;
        request.pem().map_err(Error::Key)
    }
}

/// The way to the appliance: address, name and CA.
#[derive(Debug, Clone)]
pub struct Appliance {
    /// `HOST:PORT`.
    pub address: String,
    /// Name in its certificate.
    pub site: String,
    /// Site CA, PEM.
    pub ca_pem: String,
    /// Time by which certificates are checked.
    pub clock: Arc<SteppedClock>,
    /// Cryptography.
    pub provider: Arc<CryptoProvider>,
}

impl Appliance {
    fn channel(&self, identity: Option<&ClientIdentity>) -> Result<Channel, Error> {
        let provider = Arc::clone(&self.provider);
        let config = client_config(provider, &self.ca_pem, identity, Arc::clone(&self.clock))
            .map_err(Error::Connection)?;
        connect(&self.address, &self.site, config).map_err(Error::Connection)
    }
}

/// A granted session.
#[derive(Debug)]
pub struct Session {
    appliance: Appliance,
    key_pem: String,
    request_pem: String,
    current: Mutex<(Channel, Instant)>,
    /// When the claim that was granted had been sent.
    pub asked: Instant,
    /// Name of the machine.
    pub machine: String,
    /// Attempt.
    pub attempt: u64,
}

/// Asks for the session until it is granted. A refusal touches nothing and is shown.
///
/// # Errors
/// Only when the connection can't be set up at all.
pub async fn claim(
    appliance: &Appliance,
    key: &MachineKey,
    request: &ClaimRequest,
    console: &Console,
) -> Result<Session, Error> {
    let channel = appliance.channel(None)?;
    let mut pause = Duration::from_secs(1);
    loop {
        let mut call = Request::new(request.clone());
        call.set_timeout(CALL);
        let asked = Instant::now();
        let answer = tokio::time::timeout(CALL, SessionsClient::new(channel.clone()).claim(call)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        match answer.map(|answer| answer.into_inner().outcome) {
            Ok(Some(Outcome::Granted(granted))) => {
                return Session::begin(appliance, key, granted, asked, console);
            }
            Ok(Some(Outcome::Refused(refused))) => {
                console.say(format!("refused: {}", refused.reason));
                pause = Some(Duration::from_secs(u64::from(refused.retry_after_seconds)))
                    .filter(|pause| !pause.is_zero())
                    .unwrap_or(ASK_AGAIN);
            }
            Ok(None) => {
                console.say("the appliance's answer is not understood; it may be newer than this installer");
                pause = ASK_AGAIN;
            }
            Err(status) => {
                console.say(format!(
                    "no session yet from {}: {}",
                    appliance.address,
                    spoken(&status)
                ));
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
        tokio::time::sleep(pause).await;
    }
}

impl Session {
    fn begin(
        appliance: &Appliance,
        key: &MachineKey,
        granted: Granted,
        asked: Instant,
        console: &Console,
    ) -> Result<Self, Error> {
        if let Ok(now) = u64::try_from(granted.server_time) {
            let now = Duration::from_millis(now);
            appliance.clock.set(now);
            if let Err(error) = system::set_clock(now) {
                console.say(error.line());
            }
        }
        let identity = ClientIdentity {
            certificate_pem: granted.certificate_pem,
            key_pem: key.pem(),
        };
        let channel = appliance.channel(Some(&identity))?;
        console.say(format!(
            "session granted: machine {}, attempt {}",
            granted.machine, granted.attempt
        ));
        Ok(Self {
            appliance: appliance.clone(),
            key_pem: identity.key_pem,
            request_pem: key.request_pem()?,
            current: Mutex::new((channel, Instant::now())),
            asked,
            machine: granted.machine,
            attempt: granted.attempt,
        })
    }

    /// A channel that carries the certificate.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Gets a new certificate when the present one is no longer young. A failure is no harm: it is tried again.
    pub(crate) async fn renew_when_due(&self) {
        let due = self
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .elapsed()
            > RENEW_AFTER;
        if !due {
            return;
        }
        let mut call = Request::new(RenewRequest {
            csr_pem: self.request_pem.clone(),
        });
        call.set_timeout(CALL);
        let Ok(answer) = SessionsClient::new(self.channel()).renew(call).await else {
            return;
        };
        let identity = ClientIdentity {
            certificate_pem: answer.into_inner().certificate_pem,
            key_pem: self.key_pem.clone(),
        };
        if let Ok(channel) = self.appliance.channel(Some(&identity)) {
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (channel, Instant::now());
        }
    }

    /// Asks for the certificate of the installed system's first boot, until there is an answer.
    ///
    /// # Errors
    /// When the appliance refuses.
    pub(crate) async fn first_boot(&self, csr_pem: String) -> Result<FirstBootResponse, Error> {
        loop {
            let mut call = Request::new(FirstBootRequest {
                csr_pem: csr_pem.clone(),
            });
            call.set_timeout(CALL);
            match SessionsClient::new(self.channel()).first_boot(call).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_final(&status) => {
                    return Err(Error::Refused {
                        call: "FirstBoot",
                        reason: spoken(&status),
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_secs(2)).await,
            }
        }
    }
}

/// Whether asking again is of no use.
pub(crate) fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::Unimplemented
    )
}

/// A status in one line, with the network's own words where there are some.
pub(crate) fn spoken(status: &Status) -> String {
    causes::appended(format!("{:?}: {}", status.code(), status.message()), status)
}
