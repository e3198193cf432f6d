//! The smallest appliance that an agent can work with: one list of actions, handed out one at a time, over real TLS.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_protocol::v1::claim_response::Outcome;
use agent_protocol::v1::next_response::Step;
use agent_protocol::v1::sessions_server::{Sessions, SessionsServer};
use agent_protocol::v1::workflows_server::{Workflows, WorkflowsServer};
use agent_protocol::v1::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

pub(crate) const SITE: &str = "lab.gantry.test";

#[derive(Default)]
pub(crate) struct State {
    pub(crate) actions: VecDeque<Action>,
    pub(crate) reports: Vec<ReportRequest>,
    pub(crate) claims: Vec<ClaimRequest>,
    /// Refusals before the session is granted.
    pub(crate) refusals: usize,
    /// Reports that fail after they were committed: the answer is lost.
    pub(crate) lost_answers: usize,
    /// How long the answer to a report takes.
    pub(crate) report_takes: Duration,
    /// From now on the session is over.
    pub(crate) fenced: bool,
    handed_out: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Appliance {
    pub(crate) state: Arc<Mutex<State>>,
    ca: Arc<CertifiedIssuer<'static, KeyPair>>,
}

impl Appliance {
    pub(crate) fn new(actions: Vec<Action>) -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let state = State {
            actions: actions.into(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            ca: Arc::new(ca),
        }
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// Serves until the task is dropped; gives back the port.
    pub(crate) async fn serve(&self, address: &str) -> (u16, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![SITE.to_owned()])
            .unwrap()
            .signed_by(&key, &*self.ca)
            .unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(leaf.pem(), key.serialize_pem()))
            .client_ca_root(Certificate::from_pem(self.ca.pem()))
            .client_auth_optional(true);
        let server = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(SessionsServer::new(self.clone()))
            .add_service(WorkflowsServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        (port, tokio::spawn(async move { server.await.unwrap() }))
    }

    fn sign(&self, csr_pem: &str) -> Result<String, Status> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(request.signed_by(&*self.ca).unwrap().pem())
    }

    fn authorize<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if request
            .peer_certs()
            .is_none_or(|certificates| certificates.is_empty())
        {
            return Err(Status::unauthenticated("no client certificate"));
        }
        if self.state.lock().unwrap().fenced {
            return Err(Status::permission_denied("attempt 1 is closed"));
        }
        Ok(())
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[tonic::async_trait]
impl Sessions for Appliance {
    async fn claim(&self, request: Request<ClaimRequest>) -> Result<Response<ClaimResponse>, Status> {
        let claim = request.into_inner();
        let certificate_pem = self.sign(&claim.csr_pem)?;
        let mut state = self.state.lock().unwrap();
        state.claims.push(claim);
        let outcome = if state.claims.len() <= state.refusals {
            Outcome::Refused(Refused {
                reason: "this machine is not armed".to_owned(),
                retry_after_seconds: 1,
            })
        } else {
            state.fenced = false;
            Outcome::Granted(Granted {
                certificate_pem,
                server_time: now(),
                machine: "m1".to_owned(),
                attempt: 1,
            })
        };
        Ok(Response::new(ClaimResponse {
            outcome: Some(outcome),
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        self.authorize(&request)?;
        Ok(Response::new(RenewResponse {
            certificate_pem: self.sign(&request.into_inner().csr_pem)?,
            server_time: now(),
        }))
    }

    async fn first_boot(
        &self,
        request: Request<FirstBootRequest>,
    ) -> Result<Response<FirstBootResponse>, Status> {
        self.authorize(&request)?;
        Ok(Response::new(FirstBootResponse {
            certificate_pem: self.sign(&request.into_inner().csr_pem)?,
            ca_pem: self.ca.pem(),
            endpoints: vec!["https://192.0.2.1:7443".to_owned()],
            site_name: SITE.to_owned(),
            server_time: now(),
        }))
    }
}

#[tonic::async_trait]
impl Workflows for Appliance {
    async fn next(&self, request: Request<NextRequest>) -> Result<Response<NextResponse>, Status> {
        self.authorize(&request)?;
        let mut state = self.state.lock().unwrap();
        let step = match state.actions.front().cloned() {
            Some(mut action) => {
                action.resumed = state.handed_out.as_ref() == Some(&action.action_id);
                state.handed_out = Some(action.action_id.clone());
                Step::Action(action)
            }
            None => Step::Finished(Finished {
                reason: "all actions are done".to_owned(),
            }),
        };
        Ok(Response::new(NextResponse { step: Some(step) }))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        self.authorize(&request)?;
        let takes = self.state.lock().unwrap().report_takes;
        tokio::time::sleep(takes).await;
        let report = request.into_inner();
        let mut state = self.state.lock().unwrap();
        let ended = report.state() != ActionState::Running;
        let repeated = state.reports.last().is_some_and(|last| {
            last.action_id == report.action_id && ended && last.state() == report.state()
        });
        if !repeated {
            if state
                .actions
                .front()
                .is_none_or(|action| action.action_id != report.action_id)
            {
                return Err(Status::failed_precondition("this action is not at hand"));
            }
            if ended {
                state.actions.pop_front();
            }
            state.reports.push(report);
        }
        if ended && state.lost_answers > 0 {
            state.lost_answers -= 1;
            return Err(Status::unavailable("the answer was lost"));
        }
        Ok(Response::new(ReportResponse {}))
    }
}
