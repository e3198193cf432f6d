//! `pending`: looks for a server. Entered at creation; left to `preparing` with a claim. Waits for a free server as long
//! as `deadlineMinutes` says, then `failed`.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::ProviderMachineState;

use super::fail;
use crate::selection::select;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step};

/// Minutes for the whole installation when the machine does not say.
const DEADLINE_MINUTES: u32 = 60;

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if !snapshot.held() {
        return Step::Do(Effect::AddFinalizer);
    }
    if let Some(server) = snapshot.claimed() {
        let reason = format!("claimed server {}", server.name_any());
        return Step::Go {
            state: ProviderMachineState::Preparing,
            reason,
        };
    }
    match select(
        &snapshot.machine.spec.selector,
        &snapshot.servers,
        &snapshot.hardware,
    ) {
        Ok(server) => Step::Do(Effect::Claim {
            server: server.name_any(),
        }),
        Err(none) => {
            let minutes = snapshot.machine.spec.deadline_minutes.unwrap_or(DEADLINE_MINUTES);
            let until = snapshot.minutes_on(minutes, now);
            if now >= until {
                return fail(none.reason());
            }
            Step::Wait {
                reason: none.reason(),
                until: Some(until),
                percent: None,
            }
        }
    }
}
