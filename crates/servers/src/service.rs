//! `gantry.agent.v1.Sessions`: Claim, Renew, FirstBoot. Commit before reply, always.

mod claiming;
mod gate;
mod limit;
mod proof;

use std::sync::Arc;

use agent_protocol::v1::{
    ClaimRequest, ClaimResponse, FirstBootRequest, FirstBootResponse, RenewRequest, RenewResponse,
    sessions_server::Sessions,
};
use boot_script::Peer;
use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use pki::{Identity, IssuedCertificate, SiteCa, Validity};
use resources::gantry::{FirstBoot, Server, ServerStatus, SessionClaim};
use resources::{Digest, Time};
use tonic::{Request, Response, Status};

use self::limit::ClaimLimit;
use crate::context::{Context, WRITER, read};
use crate::error::Error;
use crate::sessions::{self, CERTIFICATE_LIFE, FIRST_BOOT_LIFE};

/// How often a decision is made again because somebody else wrote in between.
const TRIES: u32 = 8;
/// Seconds after which a refused agent asks again.
const RETRY: u32 = 30;

/// The service. Clone it freely.
#[derive(Debug, Clone)]
pub struct SessionsService {
    context: Context,
    limit: Arc<ClaimLimit>,
}

/// The agent of a verified certificate.
struct Agent {
    machine_id: String,
    attempt: u64,
    serial: String,
    public_key: Digest,
}

impl SessionsService {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            limit: Arc::default(),
        }
    }

    fn issue(
        &self,
        server: &Server,
        csr: &str,
        attempt: u64,
        now: Timestamp,
    ) -> Result<IssuedCertificate, Status> {
        let validity = Validity::lasting(now, CERTIFICATE_LIFE);
        let issued = self
            .context
            .ca
            .issue_attempt(csr, &server.spec.machine_id, attempt, validity);
        issued.map_err(|error| certificate(server, error))
    }

    /// The server of an agent whose certificate counts now.
    async fn agent_server(&self, agent: &Agent) -> Result<(Api<Server>, Server), Status> {
        let found = self.context.machine(&agent.machine_id).await.map_err(failed)?;
        let (api, server) =
            found.ok_or_else(|| Status::permission_denied("this machine is not known any more"))?;
        check(agent, &server)?;
        Ok((api, server))
    }

    async fn renewed(&self, agent: &Agent, csr: &str) -> Result<RenewResponse, Status> {
        SiteCa::request_key(csr).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (api, mut server) = self.agent_server(agent).await?;
        for _ in 0..TRIES {
            check(agent, &server)?;
            let now = Timestamp::now();
            let mut status = server.status.clone().unwrap_or_default();
            let Some(session) = &status.boot_session else {
                return Err(busy(&server));
            };
            let issued = self.issue(&server, csr, agent.attempt, now)?;
            let (certificate_pem, serial) = (issued.pem.clone(), issued.serial.clone());
            status.boot_session = Some(sessions::renewed(session, held(issued, now), now));
            // Heard before the controller sees it, as in a claim.
            self.context.leases.hear(&serial);
            match committed(&api, &server, &status).await? {
                Outcome::Lost => {
                    self.context.leases.forget(&serial);
                    server = live(&api, &server).await?;
                }
                Outcome::Written(_) | Outcome::Unchanged => {
                    self.context.leases.forget(&agent.serial);
                    self.context.record(
                        &server,
                        None,
                        format!("certificate of attempt {} renewed", agent.attempt),
                    );
                    return Ok(RenewResponse {
                        certificate_pem,
                        server_time: now.as_millisecond(),
                    });
                }
            }
        }
        Err(busy(&server))
    }

    async fn first_boot_certificate(&self, agent: &Agent, csr: &str) -> Result<FirstBootResponse, Status> {
        let key = SiteCa::request_key(csr).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (api, mut server) = self.agent_server(agent).await?;
        self.context.leases.hear(&agent.serial);
        for _ in 0..TRIES {
            check(agent, &server)?;
            let now = Timestamp::now();
            let mut status = server.status.clone().unwrap_or_default();
            let known = status.first_boot.as_ref().filter(|first| {
                first.attempt == agent.attempt && first.public_key == key && first.revoked_at.is_none()
            });
            if let Some(pem) = known.and_then(|first| first.certificate.clone()) {
                return Ok(self.first_boot_response(pem, now));
            }
            let validity = Validity::lasting(now, FIRST_BOOT_LIFE);
            let context = &self.context;
            let issued = context
                .ca
                .issue_first_boot(csr, &server.spec.machine_id, agent.attempt, validity);
            let issued = issued.map_err(|error| certificate(&server, error))?;
            let pem = issued.pem.clone();
            let not_after = Time(issued.not_after);
            status.first_boot = Some(FirstBoot {
                certificate: Some(issued.pem),
                issued_at: Some(Time(now)),
                ..FirstBoot::new(agent.attempt, issued.public_key, issued.serial, not_after)
            });
            match committed(&api, &server, &status).await? {
                Outcome::Lost => server = live(&api, &server).await?,
                Outcome::Written(_) | Outcome::Unchanged => {
                    let text = format!("first-boot certificate of attempt {} given out", agent.attempt);
                    self.context.record(&server, None, text);
                    return Ok(self.first_boot_response(pem, now));
                }
            }
        }
        Err(busy(&server))
    }

    fn first_boot_response(&self, certificate_pem: String, now: Timestamp) -> FirstBootResponse {
        let context = &self.context;
        FirstBootResponse {
            certificate_pem,
            ca_pem: context.ca.ca_pem().to_owned(),
            endpoints: context.endpoints.clone(),
            site_name: context.ca.site().to_owned(),
            server_time: now.as_millisecond(),
        }
    }
}

#[tonic::async_trait]
impl Sessions for SessionsService {
    async fn claim(&self, request: Request<ClaimRequest>) -> Result<Response<ClaimResponse>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let outcome = self.claimed(peer, &request.into_inner()).await?;
        Ok(Response::new(ClaimResponse {
            outcome: Some(outcome),
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let agent = agent(&request)?;
        let csr = request.into_inner().csr_pem;
        self.renewed(&agent, &csr).await.map(Response::new)
    }

    async fn first_boot(
        &self,
        request: Request<FirstBootRequest>,
    ) -> Result<Response<FirstBootResponse>, Status> {
        let agent = agent(&request)?;
        let csr = request.into_inner().csr_pem;
        self.first_boot_certificate(&agent, &csr).await.map(Response::new)
    }
}

fn agent<T>(request: &Request<T>) -> Result<Agent, Status> {
    match request.extensions().get::<Identity>() {
        Some(Identity::Attempt {
            machine_id,
            attempt,
            serial,
            public_key,
            ..
        }) => Ok(Agent {
            machine_id: machine_id.clone(),
            attempt: *attempt,
            serial: serial.clone(),
            public_key: *public_key,
        }),
        _ => Err(Status::unauthenticated(
            "the certificate of an attempt is needed; claim the boot session first",
        )),
    }
}

fn check(agent: &Agent, server: &Server) -> Result<(), Status> {
    let session = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref());
    let wanted = server.spec.attempt.as_ref();
    sessions::standing(wanted, session, agent.attempt, agent.public_key, &agent.serial)
        .map_err(|why| Status::permission_denied(why.to_string()))
}

async fn committed(
    api: &Api<Server>,
    server: &Server,
    status: &ServerStatus,
) -> Result<Outcome<Server>, Status> {
    let outcome = WRITER.status(api, server, status).await;
    outcome.map_err(|error| failed(error.into()))
}

async fn live(api: &Api<Server>, server: &Server) -> Result<Server, Status> {
    let found = read(api, &server.name_any()).await.map_err(failed)?;
    found.ok_or_else(|| Status::permission_denied("this machine is not known any more"))
}

fn held(issued: IssuedCertificate, now: Timestamp) -> SessionClaim {
    SessionClaim {
        public_key: issued.public_key,
        serial: issued.serial,
        certificate: issued.pem,
        at: Time(now),
        not_after: Time(issued.not_after),
    }
}

fn failed(error: Error) -> Status {
    tracing::warn!(error = %error, "session call failed");
    Status::unavailable(error.to_string())
}

fn certificate(server: &Server, source: pki::Error) -> Status {
    let error = Error::Certificate {
        machine: server.name_any(),
        source,
    };
    tracing::error!(error = %error, "certificate refused");
    Status::internal(error.to_string())
}

fn busy(server: &Server) -> Status {
    Status::unavailable(compare_and_set::Error::busy(server).to_string())
}
