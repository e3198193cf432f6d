//! Upkeep of the boot session in a reconciliation: what it waits for of the boot services, and what is recorded of it.

use std::time::Duration;

use agent_protocol::LEASE;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::Time;
use resources::gantry::{Server, SessionPhase};
use resources::tinkerbell::Hardware;

use super::around::Around;
use crate::alarms::{Alarm, alarm};
use crate::boot_id;
use crate::context::Context;
use crate::sessions::{self, Seen, Upkeep, upkeep};

/// Longest time that a reconciliation waits for the boot services' view.
const VIEW_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at what the boot services heard of an armed machine.
const HEARING: Duration = Duration::from_secs(10);
/// How old the recorded time of the agent's last word may be.
const HEARD_STALE: SignedDuration = SignedDuration::from_secs(30);

/// Does one step of upkeep on the session in `server`; waits a little for the boot services where it depends on them.
pub(super) async fn keep(context: &Context, server: &mut Server, around: &Around, now: Timestamp) -> Upkeep {
    let snapshot = around.snapshot(server);
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
    let restored = server.spec.restored.is_some();
    let seen = |view_armed, view_disarmed, silence| Seen {
        open,
        restored,
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
    let mut next = sessions::apply(step, attempt, session, window, boot_id::mint, now);
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

/// Evidence of what was committed for the session, and alarms.
pub(super) async fn report(context: &Context, server: &Server, step: Upkeep) {
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

/// When the session has to be looked at again after this step.
pub(super) fn again(context: &Context, server: &Server, step: Upkeep) -> Option<Duration> {
    if matches!(
        step,
        Upkeep::AwaitArmed | Upkeep::AwaitDisarmed | Upkeep::Arm | Upkeep::NextBoot
    ) {
        return Some(Duration::from_millis(100));
    }
    let session = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref())?;
    match session.phase {
        SessionPhase::Claimed => {
            let serial = session.claim.as_ref().map_or("", |claim| claim.serial.as_str());
            let left = LEASE.saturating_sub(context.leases.silence(serial)) + Duration::from_millis(100);
            let often = if session.contender.is_some() { 2 } else { 15 };
            Some(left.min(Duration::from_secs(often)))
        }
        SessionPhase::Armed => Some(HEARING),
        _ => None,
    }
}
