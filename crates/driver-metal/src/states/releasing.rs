//! `releasing`: workflows removed, machine off by evidence or by a person's word, claim removed, object let go.
//!
//! Evidence is a power-off Job that completed, or that no system of ours was ever started on the machine. Where there is
//! no BMC, or none that does what it is asked, a person states it (`Server.spec.release`). A Job that failed is tried
//! again with growing pauses, and at once when the BMC answers again.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::gantry::{ReleaseStatement, Server};
use steps::later;

use crate::snapshot::{JobEnd, Snapshot};
use crate::step::{Effect, Step};

/// Between two looks at a Job that runs.
const LOOK: SignedDuration = SignedDuration::from_secs(60);
/// Pause after the first failed power-off; it doubles with each one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(30);
/// How long a person's statement is waited for before the deadline moves on.
const PERSON: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if !snapshot.held() {
        return Step::rest();
    }
    if !snapshot.workflows.is_empty() {
        return Step::Do(Effect::RemoveWorkflows);
    }
    let Some(server) = snapshot.claimed() else {
        return Step::Do(Effect::RemoveFinalizer);
    };
    if statement(snapshot, server).is_some() {
        return Step::Do(Effect::Unclaim);
    }
    match &snapshot.bmc {
        Some(_) => power_off(snapshot, server, now),
        None if never_started(server) => Step::Do(Effect::Unclaim),
        None => person(snapshot, server, now),
    }
}

/// What a person stated for this owner, of whatever power: off gives the server back, unknown gives it up, and `servers`
/// tells the two apart.
fn statement<'a>(snapshot: &Snapshot, server: &'a Server) -> Option<&'a ReleaseStatement> {
    let stated = server.spec.release.as_ref()?;
    (stated.owner == snapshot.machine.name_any()).then_some(stated)
}

/// Whether nothing of this claim ever ran: no boot of an attempt has begun, and no installed system has shown itself.
fn never_started(server: &Server) -> bool {
    let Some(status) = &server.status else {
        return true;
    };
    let started = status
        .boot_session
        .as_ref()
        .is_some_and(|session| session.boot > 1 || session.started_at.is_some() || session.claim.is_some());
    !started && status.first_boot.is_none()
}

fn person(snapshot: &Snapshot, server: &Server, now: Timestamp) -> Step {
    let name = server.name_any();
    let why = match &server.spec.bmc {
        None => "has no BMC".to_owned(),
        Some(bmc) => format!("names BMC {bmc}, which does not exist"),
    };
    let mut until = snapshot.since(now);
    while until <= now {
        until = later(until, PERSON);
    }
    let reason = format!(
        "{name} {why}, so nobody but you can tell that it is off: switch it off, then: gantry release server {name} \
         --powered-off"
    );
    Step::wait(reason, until)
}

fn power_off(snapshot: &Snapshot, server: &Server, now: Timestamp) -> Step {
    let prefix = format!("poweroff-{}-", snapshot.machine.name_any());
    let number = |name: &str| name.strip_prefix(&prefix)?.parse::<u32>().ok();
    let mut tries: Vec<(u32, &String)> = snapshot
        .jobs
        .keys()
        .filter_map(|name| Some((number(name)?, name)))
        .collect();
    tries.sort_unstable();
    let Some((last, name)) = tries.last().copied() else {
        return Step::Do(Effect::PowerOff {
            job: format!("{prefix}0"),
            earlier: Vec::new(),
        });
    };
    let host = server.name_any();
    match snapshot.job(name) {
        Some((JobEnd::Completed, _)) => Step::Do(Effect::Unclaim),
        Some((JobEnd::Failed, _)) if never_started(server) => Step::Do(Effect::Unclaim),
        Some((JobEnd::Failed, message)) => {
            let ended = snapshot.job_ended_at(name).unwrap_or_else(|| snapshot.since(now));
            let due = later(ended, pause(last));
            let answers_again = snapshot.contactable_since().is_some_and(|since| since > ended);
            if now >= due || answers_again {
                return Step::Do(Effect::PowerOff {
                    job: format!("{prefix}{}", last.saturating_add(1)),
                    earlier: tries.into_iter().map(|(_, name)| name.clone()).collect(),
                });
            }
            let times = last.saturating_add(1);
            Step::wait(
                format!(
                    "cannot power {host} off ({message}), tried {times} times; fix its BMC, or switch it off by hand and \
                     state it: gantry release server {host} --powered-off; or give it up into quarantine: gantry release \
                     server {host} --force --reason TEXT"
                ),
                due,
            )
        }
        Some((JobEnd::Running, _)) | None => Step::wait(format!("powering {host} off"), later(now, LOOK)),
    }
}

/// Pause after the failure of try `number`, counted from 0.
fn pause(number: u32) -> SignedDuration {
    FIRST_PAUSE.saturating_mul(1 << number.min(10)).min(LONGEST_PAUSE)
}
