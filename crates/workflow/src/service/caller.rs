//! Who calls, and whether it still counts.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use pki::Identity;
use resources::Digest;
use resources::gantry::{HandoverPolicy, Server, SessionPhase};
use resources::tinkerbell::Workflow;
use tonic::{Request, Status};

use super::access::{failed, read};
use crate::context::ServiceContext;
use crate::error::Error;

/// The agent of a verified certificate.
pub(super) struct Caller {
    machine_id: String,
    pub(super) attempt: u64,
    pub(super) serial: String,
    public_key: Digest,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the agent of the open attempt.
    Open,
    /// It was the agent of the newest attempt, which has ended.
    Ended,
}

/// The caller's machine at this moment.
pub(super) struct Present {
    pub(super) standing: Standing,
    pub(super) machine: String,
    pub(super) phase: SessionPhase,
    pub(super) claimed_at: Option<Timestamp>,
    pub(super) handover: HandoverPolicy,
    pub(super) attempt: u64,
    /// As it was read.
    pub(super) server: Server,
    pub(super) namespace: String,
    workflow: String,
}

impl Caller {
    /// From the identity that the listener put into the request.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        match request.extensions().get::<Identity>() {
            Some(Identity::Attempt {
                machine_id,
                attempt,
                serial,
                public_key,
                ..
            }) => Ok(Self {
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

    /// Reads the caller's Server and judges it.
    pub(super) async fn present(&self, context: &ServiceContext) -> Result<Present, Status> {
        let servers: Api<Server> = Api::all(context.client.clone());
        let same = ListParams::default().fields(&format!("spec.machineId={}", self.machine_id));
        let found = servers.list(&same).await.map_err(|source| {
            failed(Error::Read {
                kind: "Server with the machine id",
                name: self.machine_id.clone(),
                source,
            })
        })?;
        let live = found.items.into_iter().next();
        let live = live.ok_or_else(|| Status::permission_denied("this machine is not known any more"))?;
        self.judge(&live, live.name_any(), live.namespace().unwrap_or_default())
    }

    fn judge(&self, server: &Server, machine: String, namespace: String) -> Result<Present, Status> {
        let denied = |why: &str| Err(Status::permission_denied(why));
        let attempt = server
            .spec
            .attempt
            .as_ref()
            .filter(|attempt| attempt.number == self.attempt);
        let session = server
            .status
            .as_ref()
            .and_then(|status| status.boot_session.as_ref());
        let session = session.filter(|session| session.attempt == self.attempt);
        let (Some(attempt), Some(session)) = (attempt, session) else {
            return denied("another attempt fences this one");
        };
        let claim = session
            .claim
            .as_ref()
            .filter(|claim| claim.public_key == self.public_key);
        let Some(claim) = claim else {
            return denied("another key holds this machine; claim again");
        };
        let revoked = session.revoked.contains(&self.serial);
        let standing = match session.phase {
            SessionPhase::Closed => Standing::Ended,
            SessionPhase::Claimed | SessionPhase::Disarmed if revoked => {
                return denied("this certificate was replaced; claim again");
            }
            SessionPhase::Claimed | SessionPhase::Disarmed if attempt.closed => Standing::Ended,
            SessionPhase::Claimed | SessionPhase::Disarmed => Standing::Open,
            SessionPhase::Frozen => return denied("the session is frozen: two agents claimed this machine"),
            SessionPhase::Arming | SessionPhase::Armed => {
                return denied("the next boot of this attempt is armed; claim again");
            }
        };
        Ok(Present {
            standing,
            machine,
            phase: session.phase,
            claimed_at: Some(claim.at.0),
            handover: server.spec.handover,
            attempt: self.attempt,
            server: server.clone(),
            namespace,
            workflow: attempt.workflow.clone(),
        })
    }
}

impl Present {
    /// The attempt's Workflow.
    pub(super) async fn workflow(
        &self,
        context: &ServiceContext,
    ) -> Result<(Api<Workflow>, Workflow), Status> {
        let api: Api<Workflow> = Api::namespaced(context.client.clone(), &self.namespace);
        let workflow = read(&api, &self.workflow).await?;
        Ok((api, workflow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resources::Time;
    use resources::gantry::{Attempt, BootSession, ServerSpec, ServerStatus, SessionClaim};

    fn server(phase: SessionPhase) -> Server {
        let at = Time(Timestamp::from_second(1_800_000_000).unwrap());
        let mut server = Server::new(
            "node-1",
            ServerSpec {
                machine_id: "m-1".into(),
                ..ServerSpec::default()
            },
        );
        server.spec.attempt = Some(Attempt {
            number: 3,
            workflow: "w".into(),
            ..Attempt::default()
        });
        let claim = SessionClaim {
            public_key: Digest::new([1; 32]),
            serial: "01".into(),
            certificate: String::new(),
            at: at.clone(),
            not_after: at.clone(),
        };
        let session = BootSession {
            attempt: 3,
            boot: 1,
            boot_id: "boot-a".into(),
            phase,
            armed_at: at.clone(),
            deadline: at,
            started_at: None,
            post_minutes: None,
            last_packet: None,
            strangers: Vec::new(),
            claim: Some(claim),
            revoked: Vec::new(),
            last_heard: None,
            contender: None,
            superseded: Vec::new(),
        };
        server.status = Some(ServerStatus {
            boot_session: Some(session),
            ..ServerStatus::default()
        });
        server
    }

    fn judged(server: &Server, attempt: u64, key: u8, serial: &str) -> Result<Standing, tonic::Code> {
        let caller = Caller {
            machine_id: "m-1".into(),
            attempt,
            serial: serial.into(),
            public_key: Digest::new([key; 32]),
        };
        caller
            .judge(server, String::new(), String::new())
            .map(|present| present.standing)
            .map_err(|status| status.code())
    }

    #[test]
    fn only_the_holder_of_the_newest_attempt_counts() {
        let denied = Err(tonic::Code::PermissionDenied);
        let open = server(SessionPhase::Claimed);
        assert_eq!(judged(&open, 3, 1, "01"), Ok(Standing::Open));
        assert_eq!(
            judged(&server(SessionPhase::Disarmed), 3, 1, "01"),
            Ok(Standing::Open)
        );
        assert_eq!(judged(&open, 2, 1, "01"), denied, "an earlier attempt");
        assert_eq!(judged(&open, 4, 1, "01"), denied, "a later attempt");
        assert_eq!(judged(&open, 3, 2, "01"), denied, "another key");
        let mut replaced = server(SessionPhase::Claimed);
        replaced
            .status
            .as_mut()
            .unwrap()
            .boot_session
            .as_mut()
            .unwrap()
            .revoked
            .push("01".into());
        assert_eq!(judged(&replaced, 3, 1, "01"), denied, "a revoked serial");
        for phase in [SessionPhase::Frozen, SessionPhase::Armed, SessionPhase::Arming] {
            assert_eq!(judged(&server(phase), 3, 1, "01"), denied, "{phase:?}");
        }
        let mut fenced = server(SessionPhase::Claimed);
        fenced.spec.attempt.as_mut().unwrap().number = 4;
        assert_eq!(judged(&fenced, 3, 1, "01"), denied, "a newer attempt is wanted");
    }

    #[test]
    fn an_ended_attempt_is_told_from_a_fenced_one() {
        assert_eq!(
            judged(&server(SessionPhase::Closed), 3, 1, "01"),
            Ok(Standing::Ended)
        );
        let mut over = server(SessionPhase::Disarmed);
        over.spec.attempt.as_mut().unwrap().closed = true;
        assert_eq!(judged(&over, 3, 1, "01"), Ok(Standing::Ended));
        assert_eq!(
            judged(&server(SessionPhase::Closed), 3, 2, "01"),
            Err(tonic::Code::PermissionDenied)
        );
    }
}
