//! The call Claim: from a caller without a certificate to a committed session. Who the caller is comes first
//! ([`super::gate`]), then what the session says ([`crate::sessions::claim`]).

use std::time::Instant;

use agent_protocol::v1::{ClaimRequest, Granted, Refused, claim_response};
use boot_script::{BootTarget, Peer};
use compare_and_set::Outcome;
use jiff::Timestamp;
use kill_points::KillPoint;
use kube::ResourceExt as _;
use kube::api::Api;
use pki::SiteCa;
use resources::gantry::{BootSession, Server, ServerStatus, SessionPhase};
use tonic::Status;

use super::gate::{Objection, Shown, identity};
use super::{RETRY, SessionsService, TRIES, busy, committed, failed, held, live};
use crate::alarms::{Alarm, alarm};
use crate::boot_id;
use crate::error::Error;
use crate::metrics;
use crate::sessions::{self, Ask, ClaimDecision, claim};

/// One claim under way.
pub(super) struct Claiming<'a> {
    peer: &'a Peer,
    machine: &'a BootTarget,
    shown: Shown,
    ask: Ask<'a>,
    request: &'a ClaimRequest,
}

impl SessionsService {
    pub(super) async fn claimed(
        &self,
        peer: Option<Peer>,
        request: &ClaimRequest,
    ) -> Result<claim_response::Outcome, Status> {
        let peer = peer.ok_or_else(|| Status::unauthenticated("nobody knows where this call comes from"))?;
        if !self
            .limit
            .allows(peer.address(), peer.target().is_some(), Instant::now())
        {
            metrics::claims_limited(1);
            return Ok(refused("too many claims from this address", RETRY));
        }
        let key = SiteCa::request_key(&request.csr_pem)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let view = self.context.view.load();
        if !view.loaded() {
            return Err(failed(Error::NotReady));
        }
        let armed = request.boot_id.as_str();
        let found = match view.by_boot_id(armed) {
            None => None,
            Some(machine) => {
                let server = self.context.server_of(&machine.machine).await.map_err(failed)?;
                server.map(|(api, server)| (machine, api, server))
            }
        };
        let Some((machine, api, mut server)) = found else {
            let text = "claim refused: no machine is armed with its boot id";
            self.context.record_of_peer(&peer, text.to_owned());
            return Ok(refused(
                "no machine of this site is armed with this boot id; restart the machine",
                RETRY,
            ));
        };
        let claiming = Claiming {
            peer: &peer,
            machine,
            shown: Shown::of(request),
            ask: Ask { boot_id: armed, key },
            request,
        };
        for _ in 0..TRIES {
            match self.try_claim(&claiming, &api, &server).await? {
                Some(outcome) => return Ok(outcome),
                None => server = live(&api, &server).await?,
            }
        }
        Err(busy(&server))
    }

    /// None when somebody else wrote in between.
    async fn try_claim(
        &self,
        claiming: &Claiming<'_>,
        api: &Api<Server>,
        server: &Server,
    ) -> Result<Option<claim_response::Outcome>, Status> {
        let Claiming {
            peer,
            machine,
            shown,
            ask,
            ..
        } = claiming;
        if let Err(objection) = identity(server, machine, peer, shown) {
            return Ok(Some(self.object(server, peer, objection).await));
        }
        let status = server.status.clone().unwrap_or_default();
        let session = status.boot_session.as_ref();
        let holder = session.and_then(|session| session.claim.as_ref());
        let silence = holder.map_or_else(Default::default, |held| self.context.leases.silence(&held.serial));
        let wanted = server.spec.attempt.as_ref();
        let decision = claim(wanted, session, *ask, silence, Timestamp::now());
        let objection = match (&decision, session) {
            (ClaimDecision::Grant, Some(session)) => self.start(server, session, peer).await?,
            _ => None,
        };
        let refused = objection
            .as_ref()
            .is_some_and(|found| found.refused_for.is_some());
        let by = match &decision {
            ClaimDecision::Grant | ClaimDecision::GrantNextBoot if !refused => {
                match self.out_of_band(server, shown).await? {
                    Ok(by) => by,
                    Err(objection) => return Ok(Some(self.object(server, peer, objection).await)),
                }
            }
            _ => None,
        };
        if let Some(by) = by {
            let text = format!("its BMC confirms the machine by {by}");
            self.context.record(server, Some(peer.address()), text);
        }
        match objection {
            Some(objection) if objection.refused_for.is_some() => {
                Ok(Some(self.object(server, peer, objection).await))
            }
            objection => {
                let outcome = self.carry_out(decision, claiming, api, server, status).await?;
                if let (Some(_), Some(objection)) = (&outcome, objection) {
                    let text = format!("claim granted, but {}", objection.reason);
                    self.context.record(server, Some(peer.address()), text.clone());
                    alarm(&self.context, server, objection.alarm, &text).await;
                }
                Ok(outcome)
            }
        }
    }

    /// Refuses, with a record and an Event. The session stays as it is.
    async fn object(&self, server: &Server, peer: &Peer, objection: Objection) -> claim_response::Outcome {
        let text = format!("claim refused: {}", objection.reason);
        tracing::warn!(machine = %server.name_any(), peer = %peer.address(), reason = objection.reason, "claim refused");
        match objection.alarm {
            Alarm::ForeignClaim => self.context.record_about(server, peer, text.clone()),
            _ => self.context.record(server, Some(peer.address()), text.clone()),
        }
        alarm(&self.context, server, objection.alarm, &text).await;
        refused(objection.answer, objection.refused_for.unwrap_or(RETRY))
    }

    /// None when somebody else wrote in between.
    async fn carry_out(
        &self,
        decision: ClaimDecision,
        claiming: &Claiming<'_>,
        api: &Api<Server>,
        server: &Server,
        mut status: ServerStatus,
    ) -> Result<Option<claim_response::Outcome>, Status> {
        let (request, peer) = (claiming.request, Some(claiming.peer.address()));
        let now = Timestamp::now();
        let raised = Alarm::of(&decision);
        let Some(session) = status.boot_session.clone() else {
            return Ok(Some(refused(
                "this machine is not armed: no workflow waits for it",
                RETRY,
            )));
        };
        let (answer, event) = match decision {
            ClaimDecision::Refuse { reason, retry } => {
                self.context
                    .record(server, peer, format!("claim refused: {reason}"));
                return Ok(Some(refused(reason, retry)));
            }
            ClaimDecision::Again => {
                if let Some(claim) = &session.claim {
                    self.context.leases.hear(&claim.serial);
                    return Ok(Some(granted(server, &session, claim.certificate.clone(), now)));
                }
                return Ok(Some(refused("the session has no claim", RETRY)));
            }
            ClaimDecision::Contend {
                contender,
                reason,
                retry,
            } => {
                status.boot_session = Some(BootSession {
                    contender: Some(contender),
                    ..session
                });
                (refused(reason.clone(), retry), format!("second key: {reason}"))
            }
            ClaimDecision::Freeze { reason } => {
                status.boot_session = Some(sessions::frozen(&session));
                (
                    refused(reason.clone(), RETRY),
                    format!("ALARM, session frozen: {reason}"),
                )
            }
            ClaimDecision::Grant | ClaimDecision::GrantNextBoot => {
                let session = match decision {
                    ClaimDecision::GrantNextBoot => {
                        // Its machine runs, so who powered it on does not matter.
                        let window = self.context.window(server, None);
                        sessions::next_boot(&session, boot_id::mint(), now, window)
                    }
                    _ => session,
                };
                let issued = self.issue(server, &request.csr_pem, session.attempt, now)?;
                let certificate = issued.pem.clone();
                let text = format!(
                    "claimed attempt {}, boot {}: key {}, agent {}, boot NIC {}",
                    session.attempt,
                    session.boot,
                    issued.public_key,
                    version(request),
                    nic(claiming)
                );
                let session = sessions::claimed(&session, held(issued, now), now);
                let answer = granted(server, &session, certificate, now);
                status.boot_session = Some(session);
                if claiming.shown.inventory.is_some() {
                    status.inventory.clone_from(&claiming.shown.inventory);
                }
                (answer, text)
            }
        };
        let holder = status
            .boot_session
            .as_ref()
            .filter(|s| s.phase == SessionPhase::Claimed)
            .filter(|session| session.contender.is_none())
            .and_then(|session| session.claim.as_ref());
        // Heard before it is committed: the controller sees the commit at once, and takes a claim that was never heard for
        // one that is silent since this process started.
        if let Some(claim) = holder {
            self.context.leases.hear(&claim.serial);
        }
        if let Outcome::Lost = committed(api, server, &status).await? {
            if let Some(claim) = holder {
                self.context.leases.forget(&claim.serial);
            }
            return Ok(None);
        }
        if holder.is_some() {
            kill_points::reach(KillPoint::ClaimCommitted);
        }
        tracing::info!(machine = %server.name_any(), ?peer, event, "boot session");
        self.context.record(server, peer, event.clone());
        if let Some(raised) = raised {
            alarm(&self.context, server, raised, &event).await;
        }
        Ok(Some(answer))
    }
}

/// The agent's version without what does not belong into a record.
fn version(request: &ClaimRequest) -> String {
    let plain = request.agent_version.chars().filter(char::is_ascii_graphic);
    plain.take(40).collect()
}

fn nic(claiming: &Claiming<'_>) -> String {
    let mac = claiming.shown.boot_mac;
    mac.map_or_else(|| "unknown".to_owned(), |mac| mac.to_string())
}

fn granted(
    server: &Server,
    session: &BootSession,
    certificate_pem: String,
    now: Timestamp,
) -> claim_response::Outcome {
    claim_response::Outcome::Granted(Granted {
        certificate_pem,
        server_time: now.as_millisecond(),
        machine: server.spec.hardware.clone(),
        attempt: session.attempt,
    })
}

fn refused(reason: impl Into<String>, retry_after_seconds: u32) -> claim_response::Outcome {
    claim_response::Outcome::Refused(Refused {
        reason: reason.into(),
        retry_after_seconds,
    })
}
