//! One reconciliation of one Server: session upkeep, then its state, then the commit, then the effect.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::LEASE;
use compare_and_set::Outcome as Write;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::controller::Action;
use resources::gantry::{Server, ServerStatus, SessionPhase};
use resources::tinkerbell::{Hardware, Workflow};
use resources::{Time, bmc};

use super::effects;
use super::known::KnownServer;
use crate::alarms::{Alarm, alarm};
use crate::error::{Error, place};
use crate::parts::{Context, WRITER, read};
use crate::service::mint_boot_id;
use crate::sessions::{self, Seen, Upkeep, upkeep};
use crate::states::{Effect, Snapshot, Step, decide};

/// Longest time that a reconciliation waits for the boot services' view.
const VIEW_PATIENCE: Duration = Duration::from_secs(2);
/// The longest time between two looks at a Server that waits for a point in time. One that waits for nothing is looked
/// at when it or something beside it changes.
const LOOK: Duration = Duration::from_secs(600);
/// States that one reconciliation may go through.
const HOPS: usize = 8;
/// Between two looks at what the boot services heard of an armed machine.
const HEARING: Duration = Duration::from_secs(10);
/// How old the recorded time of the agent's last word may be.
const HEARD_STALE: SignedDuration = SignedDuration::from_secs(30);

/// The objects beside the Server, as they are now.
struct Around {
    hardware: Option<Hardware>,
    workflow: Option<Workflow>,
    power: Option<String>,
    /// Its BMC says on, and said off at the last look.
    switched_on: bool,
}

pub(super) async fn reconcile(known: Arc<KnownServer>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = known.namespace().unwrap_or_default();
    let api: Api<Server> = Api::namespaced(context.client.0.clone(), &namespace);
    let Some(base) = read(&api, &known.name_any()).await? else {
        return Ok(Action::await_change());
    };
    if base.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let around = look_around(&context, &namespace, &base).await?;
    let now = Timestamp::now();
    let mut server = base.clone();
    server
        .status
        .get_or_insert_default()
        .power
        .clone_from(&around.power);

    let step = keep_session(&context, &mut server, &around, now).await;
    let outcome = advance(&mut server, &around, now);
    let Some(status) = server.status.clone() else {
        return Ok(Action::await_change());
    };
    let server = match WRITER.status(&api, &base, &status).await? {
        Write::Lost => return Ok(Action::requeue(Duration::from_millis(100))),
        Write::Unchanged => base,
        Write::Written(server) => *server,
    };
    announce(&context, &server, step).await;
    if let Outcome::Effect(effect) = outcome {
        effects::carry_out(&context, &api, &server, effect).await?;
        return Ok(Action::requeue(Duration::from_millis(200)));
    }
    let next = until_next(&context, &server, step, &outcome);
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

async fn look_around(context: &Context, namespace: &str, server: &Server) -> Result<Around, Error> {
    let client = || context.client.0.clone();
    let failed = |kind| {
        let name = place(server);
        move |source| Error::Read { kind, name, source }
    };
    let hardware: Api<Hardware> = Api::namespaced(client(), namespace);
    let hardware = hardware
        .get_opt(&server.spec.hardware)
        .await
        .map_err(failed("Hardware"))?;
    let workflow = match &server.spec.attempt {
        None => None,
        Some(attempt) => {
            let workflows: Api<Workflow> = Api::namespaced(client(), namespace);
            workflows
                .get_opt(&attempt.workflow)
                .await
                .map_err(failed("Workflow"))?
        }
    };
    let power = match &server.spec.bmc {
        None => None,
        Some(name) => {
            let machines: Api<bmc::Machine> = Api::namespaced(client(), namespace);
            let machine = machines.get_opt(name).await.map_err(failed("Machine"))?;
            machine
                .and_then(|machine| machine.status)
                .and_then(|status| status.power_state)
                .map(|state| match state {
                    bmc::PowerState::On => "on".to_owned(),
                    bmc::PowerState::Off => "off".to_owned(),
                    bmc::PowerState::Unknown => "unknown".to_owned(),
                })
        }
    };
    let before = server.status.as_ref().and_then(|status| status.power.as_deref());
    Ok(Around {
        hardware,
        workflow,
        switched_on: (before, power.as_deref()) == (Some("off"), Some("on")),
        power,
    })
}

/// Does one step of upkeep on the session in `server`; waits a little for the boot services where it depends on them.
async fn keep_session(context: &Context, server: &mut Server, around: &Around, now: Timestamp) -> Upkeep {
    let snapshot = snapshot(server, around);
    let open = snapshot.open_attempt().is_some();
    let workflow = around.workflow.as_ref();
    let window = context.window(server, workflow);
    let session = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref())
        .map(|session| context.heard(server, session, window));
    let session = session.as_ref();
    let started = session.and_then(|session| window.start(session, workflow, around.switched_on, now));
    let seen = |view_armed, view_disarmed, silence| Seen {
        open,
        view_armed,
        view_disarmed,
        started,
        silence,
        now,
    };
    let serial = session
        .and_then(|session| session.claim.as_ref())
        .map(|claim| claim.serial.as_str());
    let silence = serial.map_or(Duration::ZERO, |serial| context.leases.silence(serial));
    let attempt = server.spec.attempt.as_ref();
    let mut step = upkeep(attempt, session, seen(false, false, silence));
    if step == Upkeep::AwaitArmed && armed_is_visible(context, server).await {
        step = upkeep(attempt, session, seen(true, false, silence));
    }
    if step == Upkeep::AwaitDisarmed && disarmed_is_visible(context, server, around.hardware.as_ref()).await {
        step = upkeep(attempt, session, seen(false, true, silence));
    }
    let mut next = sessions::apply(step, attempt, session, window, mint_boot_id, now);
    if let Some(session) = next
        .as_mut()
        .filter(|session| session.phase == SessionPhase::Claimed && silence < LEASE)
    {
        let heard = now
            .checked_sub(SignedDuration::try_from(silence).unwrap_or_default())
            .unwrap_or(now);
        let stale = |last: &Time| heard.duration_since(last.0) > HEARD_STALE;
        if session.last_heard.as_ref().is_none_or(stale) {
            session.last_heard = Some(Time(heard));
        }
    }
    server.status.get_or_insert_default().boot_session = next;
    step
}

async fn armed_is_visible(context: &Context, server: &Server) -> bool {
    let (namespace, name) = (
        server.namespace().unwrap_or_default(),
        server.spec.hardware.clone(),
    );
    let session = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref());
    let Some(boot_id) = session.map(|session| session.boot_id.clone()) else {
        return false;
    };
    let visible = context.view.wait(|view| {
        view.session(&namespace, &name)
            .is_some_and(|session| session.boot_id == boot_id)
    });
    tokio::time::timeout(VIEW_PATIENCE, visible).await.is_ok()
}

/// A machine that no boot service knows by any of its addresses gets nothing from them, so it is as good as disarmed.
async fn disarmed_is_visible(context: &Context, server: &Server, hardware: Option<&Hardware>) -> bool {
    let number = server.spec.attempt.as_ref().map(|attempt| attempt.number);
    let interfaces = hardware
        .map(|hardware| hardware.spec.interfaces.as_slice())
        .unwrap_or_default();
    let macs: Vec<_> = interfaces
        .iter()
        .filter_map(|interface| interface.dhcp.as_ref()?.mac)
        .collect();
    let visible = context.view.wait(|view| {
        let machines = macs.iter().filter_map(|mac| view.by_mac(*mac).known());
        view.loaded()
            && machines
                .map(|target| &target.machine)
                .all(|machine| machine.leaving && machine.attempt >= number)
    });
    tokio::time::timeout(VIEW_PATIENCE, visible).await.is_ok()
}

fn snapshot<'a>(server: &'a Server, around: &'a Around) -> Snapshot<'a> {
    Snapshot {
        server,
        hardware: around.hardware.as_ref(),
        workflow: around.workflow.as_ref(),
    }
}

/// Where the states came to.
enum Outcome {
    Rest(Option<Timestamp>),
    Effect(Effect),
}

/// Goes through states until one waits, rests or needs an effect outside of the status.
fn advance(server: &mut Server, around: &Around, now: Timestamp) -> Outcome {
    for _ in 0..HOPS {
        match decide(&snapshot(server, around), now) {
            Step::Go { to, reason } => {
                let status = server.status.get_or_insert_default();
                tracing::info!(machine = %server.metadata.name.as_deref().unwrap_or_default(), state = ?to, reason, "server state");
                status.state = to;
                status.since = Some(Time(now));
                status.reason = Some(reason);
                status.deadline = None;
            }
            Step::Wait { reason, until } => {
                let status = server.status.get_or_insert_default();
                // A deadline that is counted from now moves only when the reason does.
                let keep = status.reason.as_ref() == Some(&reason)
                    && status
                        .deadline
                        .as_ref()
                        .is_some_and(|known| known.0 > now && known.0 <= until);
                if !keep {
                    status.deadline = Some(Time(until));
                }
                status.reason = Some(reason);
                return Outcome::Rest(Some(until));
            }
            Step::Done { reason } => {
                let status = server.status.get_or_insert_default();
                if reason.is_some() {
                    status.reason = reason;
                }
                status.deadline = None;
                status.since.get_or_insert(Time(now));
                return Outcome::Rest(None);
            }
            Step::Do(effect) => match in_status(server.status.get_or_insert_default(), &effect) {
                true => {}
                false => return Outcome::Effect(effect),
            },
        }
    }
    Outcome::Rest(Some(now))
}

/// Carries out an effect that is only in the status; false for the others.
fn in_status(status: &mut ServerStatus, effect: &Effect) -> bool {
    match effect {
        Effect::RecordInstalled(found) => status.local_boot = Some(found.clone()),
        Effect::CloseSession => status.boot_session = status.boot_session.as_ref().map(sessions::closed),
        Effect::Forget => (status.boot_session, status.first_boot) = (None, None),
        Effect::MirrorOwner { .. }
        | Effect::ClearOwner
        | Effect::TakeIn(_)
        | Effect::DropClaim
        | Effect::ClearRelease
        | Effect::Delete => return false,
    }
    true
}

/// Evidence of what was committed for the session, and alarms.
async fn announce(context: &Context, server: &Server, step: Upkeep) {
    let Some(session) = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref())
    else {
        return;
    };
    let (attempt, boot) = (session.attempt, session.boot);
    let text = match step {
        Upkeep::Rest | Upkeep::AwaitArmed | Upkeep::AwaitDisarmed => return,
        Upkeep::Arm => format!("arming for attempt {attempt}"),
        Upkeep::MarkArmed => format!(
            "armed for attempt {attempt}, boot {boot}, until {}",
            session.deadline.0
        ),
        Upkeep::Start(at) => format!(
            "machine of attempt {attempt} started at {at:.0}, armed until {}",
            session.deadline.0
        ),
        Upkeep::NextBoot => format!(
            "agent silent for {} s: boot {boot} of attempt {attempt} begins",
            LEASE.as_secs()
        ),
        Upkeep::Freeze => "ALARM, session frozen: two agents with different keys are alive".to_owned(),
        Upkeep::MarkDisarmed => format!("disarmed in attempt {attempt}"),
        Upkeep::Close => format!("session of attempt {attempt} closed"),
    };
    tracing::info!(machine = %server.name_any(), event = text, "boot session");
    context.record(server, None, text.clone());
    let raised = match step {
        Upkeep::NextBoot => Alarm::AgentLost,
        Upkeep::Freeze => Alarm::SessionFrozen,
        _ => return,
    };
    alarm(context, server, raised, &text).await;
}

fn until_next(context: &Context, server: &Server, step: Upkeep, outcome: &Outcome) -> Option<Duration> {
    if matches!(
        step,
        Upkeep::AwaitArmed | Upkeep::AwaitDisarmed | Upkeep::Arm | Upkeep::NextBoot
    ) {
        return Some(Duration::from_millis(100));
    }
    let session = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref());
    let of_session = session.and_then(|session| match session.phase {
        SessionPhase::Claimed => {
            let serial = session.claim.as_ref().map_or("", |claim| claim.serial.as_str());
            let left = LEASE.saturating_sub(context.leases.silence(serial)) + Duration::from_millis(100);
            let often = if session.contender.is_some() { 2 } else { 15 };
            Some(left.min(Duration::from_secs(often)))
        }
        SessionPhase::Armed => Some(HEARING),
        _ => None,
    });
    let of_state = match outcome {
        Outcome::Rest(Some(until)) => {
            let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
            Some(left.max(Duration::from_secs(1)))
        }
        _ => None,
    };
    let next = of_session.into_iter().chain(of_state).min();
    next.map(|next| next.min(LOOK))
}
