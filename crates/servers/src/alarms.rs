//! What of a boot session or a first boot becomes an Event, on the Server and on its Hardware.

use resources::gantry::Server;
use resources::keys::MANAGER_SERVERS;
use telemetry::Events;

use crate::context::Context;
use crate::sessions::ClaimDecision;

/// Text of [`Alarm::SessionFrozen`]: what happened and what to do.
const FROZEN: &str = "two agents with different keys are alive on this machine, so neither is served and the \
                      attempt fails; look for a second machine with its MAC address (gantry explain NAME shows the \
                      packets), then a new attempt arms the machine anew: its cluster starts one by itself, else \
                      create a new Workflow";

/// Text of [`Alarm::AgentLost`].
const LOST: &str = "the agent was not heard for its lease, so the next boot of its attempt has begun; was the machine \
                    reset, or did it lose its network? When it is back it continues by itself";

/// Kinds of alarm: the reasons of the Events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A second key asks for a machine whose agent was heard within its lease.
    SecondAgent,
    /// Two agents are alive; nobody is served.
    SessionFrozen,
    /// The agent was not heard for its lease; the next boot has begun.
    AgentLost,
    /// A claim came from an address that is not the machine's.
    ForeignClaim,
    /// A claim came from the machine's address with NICs or a mainboard that are not the machine's.
    MisfitClaim,
    /// A claim came before the machine had started.
    ClaimBeforeStart,
    /// A claim came from an address that fetched no installer.
    ClaimWithoutBoot,
    /// A claim came from another machine than the one behind the BMC.
    OutOfBandMismatch,
    /// A claim of a control plane that its BMC has not confirmed.
    OutOfBandMissing,
    /// The first boot of an installed system has failed.
    FirstBootFailed,
}

impl Alarm {
    /// What the answer to a claim raises.
    pub(crate) const fn of(decision: &ClaimDecision) -> Option<Self> {
        match decision {
            ClaimDecision::Contend { .. } => Some(Self::SecondAgent),
            ClaimDecision::Freeze { .. } => Some(Self::SessionFrozen),
            ClaimDecision::GrantNextBoot => Some(Self::AgentLost),
            ClaimDecision::Grant | ClaimDecision::Again | ClaimDecision::Refuse { .. } => None,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::SecondAgent => "SecondAgent",
            Self::SessionFrozen => "SessionFrozen",
            Self::AgentLost => "AgentLost",
            Self::ForeignClaim => "ForeignClaim",
            Self::MisfitClaim => "MisfitClaim",
            Self::ClaimBeforeStart => "ClaimBeforeStart",
            Self::ClaimWithoutBoot => "ClaimWithoutBoot",
            Self::OutOfBandMismatch => "OutOfBandMismatch",
            Self::OutOfBandMissing => "OutOfBandMissing",
            Self::FirstBootFailed => "FirstBootFailed",
        }
    }
}

/// Raises an alarm; `event` is what was recorded. What changes a session is committed before.
pub(crate) async fn alarm(context: &Context, server: &Server, alarm: Alarm, event: &str) {
    let machine = &server.spec.hardware;
    let text = match alarm {
        Alarm::SessionFrozen => {
            tracing::error!(machine, "boot session frozen: two agents are alive");
            FROZEN
        }
        Alarm::AgentLost => LOST,
        Alarm::SecondAgent
        | Alarm::ForeignClaim
        | Alarm::MisfitClaim
        | Alarm::ClaimBeforeStart
        | Alarm::ClaimWithoutBoot
        | Alarm::OutOfBandMismatch
        | Alarm::OutOfBandMissing
        | Alarm::FirstBootFailed => event,
    };
    Events::new(context.client.0.clone(), MANAGER_SERVERS)
        .warn_of_machine(server, machine, alarm.reason(), text)
        .await;
}
