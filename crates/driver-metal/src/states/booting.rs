//! `booting`: the installed system boots for the first time. Left to `running` with its first request for bootstrap data.
//! A system that is silent for ten minutes is reset once, without a second write; after twenty more it has `failed`.

use jiff::Timestamp;
use resources::gantry::FirstBoot;

use super::failures::record;
use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

const RESET_AFTER_MINUTES: u32 = 10;
const MINUTES: u32 = 30;
const SILENT: &str = "the installed system never asked for its bootstrap data; read its console (boot loader? network? image?)";

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let Some(server) = snapshot.claimed() else {
        return fail("the server was taken away before its system came up");
    };
    if snapshot.first_boot().is_some_and(FirstBoot::was_heard) {
        return Step::go(
            MetalState::Running,
            "the installed system asked for its bootstrap data",
        );
    }
    let (reset_at, until) = (
        snapshot.minutes_on(RESET_AFTER_MINUTES, now),
        snapshot.minutes_on(MINUTES, now),
    );
    if now >= until {
        let attempt = server.spec.attempt.as_ref();
        return attempt
            .and_then(|attempt| record(snapshot, attempt.number, SILENT))
            .unwrap_or_else(|| fail(SILENT));
    }
    let job = snapshot
        .machine
        .status
        .as_ref()
        .and_then(|status| status.workflow.as_ref())
        .map(|name| format!("reset-{name}"));
    match job {
        Some(job) if now >= reset_at && server.spec.bmc.is_some() && snapshot.job(&job).is_none() => {
            Step::Do(Effect::Reset { job })
        }
        Some(job) if snapshot.job(&job).is_some() => Step::wait(
            "the installed system was silent and has been reset once; waits for its first request",
            until,
        ),
        _ if now >= reset_at => Step::wait("the installed system boots", until),
        _ => Step::wait("the installed system boots", reset_at),
    }
}
