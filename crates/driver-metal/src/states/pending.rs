//! `pending`: looks for a server. Entered at creation; left to `preparing` with a claim. Waits for a free server as long
//! as `deadlineMinutes` says, then `failed`. A workflow of the user's own that can't be carried out fails here, before
//! any server is claimed. A machine that a node is already goes from here to `running` ([`adopting`]).

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::Server;

use super::adopting;
use crate::metal_state::MetalState;
use crate::own_workflow::check_workflow;
use crate::selection::select;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

/// Minutes for the whole installation when the machine does not say.
const DEADLINE_MINUTES: u32 = 60;

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if !snapshot.held() {
        return Step::Do(Effect::AddFinalizer);
    }
    if let Some(node) = &snapshot.machine.spec.adopts {
        return adopting::decide(snapshot, node, now);
    }
    if let Some(server) = snapshot.claimed() {
        let reason = claimed(snapshot, server, now);
        return Step::go(MetalState::Preparing, reason);
    }
    match select(
        snapshot.machine.spec.selector(),
        &snapshot.servers,
        &snapshot.hardware,
        snapshot.cooldown(now),
    ) {
        Ok(server) => {
            if let Some(step) = own_template(snapshot, server, now) {
                return step;
            }
            Step::Do(Effect::Claim {
                server: server.name_any(),
            })
        }
        Err(mut none) => {
            none.busy.extend(snapshot.not_free.iter().cloned());
            wait(snapshot, none.reason(), now)
        }
    }
}

/// Which server was claimed, and why that one if it is no good choice.
fn claimed(snapshot: &Snapshot, server: &Server, now: Timestamp) -> String {
    let name = server.name_any();
    match snapshot.cooldown(now).failure(server) {
        None => format!("claimed server {name}"),
        Some(failure) => format!(
            "claimed server {name}, although its attempt {} failed at {:.0} ({}): no other free server fits",
            failure.attempt, failure.at.0, failure.reason
        ),
    }
}

/// What is wrong with the user's own workflow for this server, if there is one.
fn own_template(snapshot: &Snapshot, server: &Server, now: Timestamp) -> Option<Step> {
    let reference = snapshot.machine.spec.template_ref()?;
    let Some(own) = &snapshot.template else {
        let reason = format!("TinkerbellTemplateConfig {} is missing; apply it", reference.name);
        return Some(wait(snapshot, reason, now));
    };
    let hardware = snapshot.hardware.get(&server.spec.hardware)?;
    let why = check_workflow(own, hardware).err()?;
    Some(fail(format!(
        "TinkerbellTemplateConfig {} can't be carried out, so no server was claimed: {why}",
        reference.name
    )))
}

fn wait(snapshot: &Snapshot, reason: String, now: Timestamp) -> Step {
    let minutes = snapshot.machine.spec.deadline_minutes.unwrap_or(DEADLINE_MINUTES);
    let until = snapshot.minutes_on(minutes, now);
    Step::wait(reason, until).or_at_deadline(now, fail)
}
