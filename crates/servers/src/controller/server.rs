//! One reconciliation of one Server: session upkeep, then the steps of its state.

use std::sync::Arc;
use std::time::Duration;

use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::controller::Action;
use resources::Time;
use resources::gantry::{Server, ServerState, ServerStatus};
use resources::keys::MANAGER_SERVERS;
use serde_json::{Value, json};
use steps::{Commit, Record, StateMachine, StateName, Transition};
use telemetry::Events;

use super::around::{Around, look_around};
use super::known::KnownServer;
use super::{effects, upkeep};
use crate::context::{Context, WRITER, read};
use crate::error::Error;
use crate::sessions::{self, Upkeep};
use crate::states::{Effect, Step, decide};

/// The longest time between two looks at a Server that waits for a point in time. One that waits for nothing is looked
/// at when it or something beside it changes.
const LOOK: Duration = Duration::from_secs(600);

pub(super) async fn reconcile(known: Arc<KnownServer>, context: Arc<Context>) -> Result<Action, Error> {
    let machine = ServerMachine {
        namespace: known.namespace().unwrap_or_default(),
        name: known.name_any(),
        context: &context,
    };
    let rest = steps::run(&machine, Timestamp::now).await?;
    let of_session = rest
        .snapshot
        .and_then(|seen| upkeep::again(&context, &seen.server, seen.upkeep));
    let next = rest.again.into_iter().chain(of_session).min();
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

/// The state machine of one Server.
struct ServerMachine<'a> {
    context: &'a Context,
    namespace: String,
    name: String,
}

/// A Server with what belongs to it.
struct Seen {
    /// As it was read or written last.
    base: Server,
    /// With the status as far as it is decided.
    server: Server,
    around: Around,
    /// The step of the session's upkeep that is in the status.
    upkeep: Upkeep,
    /// Whether that step is committed and reported.
    reported: bool,
}

impl ServerMachine<'_> {
    fn api(&self) -> Api<Server> {
        Api::namespaced(self.context.client.0.clone(), &self.namespace)
    }
}

impl Seen {
    fn status(&mut self) -> &mut ServerStatus {
        self.server.status.get_or_insert_default()
    }
}

impl StateMachine for ServerMachine<'_> {
    const KIND: &'static str = "server";
    type State = ServerState;
    type Effect = Effect;
    type Snapshot = Seen;
    type Error = Error;

    fn name_of(state: ServerState) -> StateName {
        let (label, event) = match state {
            ServerState::Discovered => ("discovered", "Discovered"),
            ServerState::Available => ("available", "Available"),
            ServerState::Claimed => ("claimed", "Claimed"),
            ServerState::Provisioning => ("provisioning", "Provisioning"),
            ServerState::Running => ("running", "Running"),
            ServerState::Releasing => ("releasing", "Releasing"),
            ServerState::Wiping => ("wiping", "Wiping"),
            ServerState::Failed => ("failed", "ServerFailed"),
        };
        StateName {
            label,
            event,
            failure: state == ServerState::Failed,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn observe(&self) -> Result<Option<Seen>, Error> {
        let base = read(&self.api(), &self.name).await?;
        let Some(base) = base.filter(|server| server.metadata.deletion_timestamp.is_none()) else {
            return Ok(None);
        };
        let around = look_around(self.context, &self.namespace, &base).await?;
        let mut server = base.clone();
        server
            .status
            .get_or_insert_default()
            .power
            .clone_from(&around.power);
        let upkeep = upkeep::keep(self.context, &mut server, &around, Timestamp::now()).await;
        Ok(Some(Seen {
            base,
            server,
            around,
            upkeep,
            reported: false,
        }))
    }

    fn look(_: &Seen) -> Duration {
        LOOK
    }

    fn record(seen: &Seen) -> Record<ServerState> {
        let status = seen.server.status.clone().unwrap_or_default();
        Record {
            state: status.state,
            since: status.since.map(|since| since.0),
            reason: status.reason,
            deadline: status.deadline.map(|deadline| deadline.0),
            percent: None,
        }
    }

    fn set_record(seen: &mut Seen, record: Record<ServerState>) {
        let status = seen.status();
        status.state = record.state;
        status.since = record.since.map(Time);
        status.reason = record.reason;
        status.deadline = record.deadline.map(Time);
    }

    fn decide(&self, seen: &Seen, now: Timestamp) -> Step {
        decide(&seen.around.snapshot(&seen.server), now)
    }

    fn apply(seen: &mut Seen, effect: Effect, _: Timestamp) -> Option<Effect> {
        let status = seen.status();
        match effect {
            Effect::RecordInstalled(found) => status.local_boot = Some(found),
            Effect::ForgetInstalled => status.local_boot = None,
            Effect::CloseSession => status.boot_session = status.boot_session.as_ref().map(sessions::closed),
            Effect::Forget => (status.boot_session, status.first_boot) = (None, None),
            other => return Some(other),
        }
        None
    }

    async fn commit(&self, seen: &mut Seen) -> Result<Commit, Error> {
        let status = seen.status().clone();
        match WRITER.status(&self.api(), &seen.base, &status).await? {
            Outcome::Lost => return Ok(Commit::Lost),
            Outcome::Unchanged => {}
            Outcome::Written(server) => {
                seen.base = *server;
                seen.server = seen.base.clone();
            }
        }
        if !seen.reported {
            seen.reported = true;
            upkeep::report(self.context, &seen.server, seen.upkeep).await;
        }
        Ok(Commit::Kept)
    }

    async fn carry_out(&self, seen: &mut Seen, effect: Effect, _: Timestamp) -> Result<Option<Step>, Error> {
        match effect {
            // Applied.
            Effect::RecordInstalled(_) | Effect::ForgetInstalled | Effect::CloseSession | Effect::Forget => {}
            Effect::MirrorOwner { name, namespace } => {
                effects::label(self.context, &seen.server, json!(name), json!(namespace)).await?;
            }
            Effect::ClearOwner => {
                effects::label(self.context, &seen.server, Value::Null, Value::Null).await?;
            }
            Effect::TakeIn(claim) => effects::take_in(&self.api(), &seen.server, claim).await?,
            Effect::DropClaim => effects::drop_claim(&self.api(), &seen.server).await?,
            Effect::ClearRelease => effects::clear_release(&self.api(), &seen.server).await?,
            Effect::Trust => effects::trust(&self.api(), &seen.server).await?,
            Effect::Delete => effects::delete(&self.api(), &seen.server).await?,
        }
        Ok(None)
    }

    async fn announce(&self, seen: &Seen, transition: &Transition) {
        let hardware = &seen.server.spec.hardware;
        Events::new(self.context.client.0.clone(), MANAGER_SERVERS)
            .transition(&seen.server, hardware, transition)
            .await;
    }
}
