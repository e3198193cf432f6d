//! `releasing`: workflows removed, machine off by evidence or by a person's word, disks wiped where the policy says so, claim
//! removed, object let go.
//!
//! Evidence is that the BMC has said off twice: to the power-off Job that completed, and when it was asked once more
//! after that, because some answer for a moment what they were told; or that no system of ours was ever started on the
//! machine. Where there is no BMC, or none that does what it is asked, a person states it (`Server.spec.release`). A
//! power-off that failed or did not last is tried again with growing pauses, and at once when the BMC answers again.
//!
//! A server that is off is kept for inspection, claim and all, while its spec says so (`quarantine`), or where the
//! installation of this machine failed on it and the site keeps such servers. When a person boots the installer on it
//! meanwhile, it has to be off by evidence once more after that.
//!
//! Then comes the wipe (left to `wiping` while its Workflow is open). It starts the machine, so afterwards the machine has to
//! be off by evidence once more. One that failed is tried again with growing pauses; in between, and when it has failed too
//! often, the server is off and keeps its claim until somebody has it tried again or gives it back as it is. Who boots the
//! installer runs no other system, so a machine without BMC needs no statement before the wipe, but one after it.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::bmc;
use resources::gantry::{BootSession, Purpose, ReleaseStatement, Server, ServerState, StatedPower};
use resources::keys::POLL_REQUESTED;
use steps::{later, pause_after};

use crate::metal_state::MetalState;
use crate::snapshot::{JobEnd, Snapshot};
use crate::step::{Effect, Step};
use crate::wipe::{self, Wipe};

/// Between two looks at a Job that runs.
const LOOK: SignedDuration = SignedDuration::from_secs(60);
/// Pause after the first failed power-off; it doubles with each one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(30);
/// For a BMC to confirm that a machine is off.
const CONFIRMATION: SignedDuration = SignedDuration::from_mins(5);
/// How long a person's statement is waited for before the deadline moves on.
const PERSON: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if !snapshot.held() {
        return Step::rest();
    }
    if snapshot
        .workflows
        .keys()
        .any(|name| !wipe::is_wipe(snapshot, name))
    {
        return Step::Do(Effect::RemoveWorkflows);
    }
    let Some(server) = snapshot.claimed() else {
        return Step::Do(Effect::RemoveFinalizer);
    };
    let progress = wipe::wipe(snapshot, server, now);
    if is_given_up(snapshot, server) {
        return match progress {
            Wipe::Runs(_) => Step::Do(Effect::RemoveWipes),
            _ => unclaim(snapshot, server, &progress),
        };
    }
    if let Wipe::Runs(workflow) = &progress {
        let reason = format!("workflow {} wipes its disks", workflow.name_any());
        return Step::go(MetalState::Wiping, reason);
    }
    if is_stated_off(snapshot, server) {
        return finish(snapshot, server, progress, now);
    }
    if is_inspected(server) {
        let reason = format!(
            "{} is being inspected; it is powered off when that is over",
            server.name_any()
        );
        return Step::wait(reason, a_day_on(snapshot, now));
    }
    match &snapshot.bmc {
        Some(_) => power_off(snapshot, server, progress, now),
        None if never_started(server) => give_back(snapshot, server, progress, now),
        None if kept(snapshot, server).is_some() || progress == Wipe::Done => person(snapshot, server, now),
        None => finish(snapshot, server, progress, now),
    }
}

/// Whether a person has booted the installer on the server to look at it. `servers` knows whether that is still so.
fn is_inspected(server: &Server) -> bool {
    let inspects = server
        .spec
        .attempt
        .as_ref()
        .is_some_and(|attempt| attempt.purpose == Purpose::Inspect);
    let status = server.status.as_ref();
    inspects && status.is_some_and(|status| status.state == ServerState::Provisioning)
}

/// Gives a server back that is off, unless somebody wants to look at it first.
fn give_back(snapshot: &Snapshot, server: &Server, progress: Wipe<'_>, now: Timestamp) -> Step {
    let Some((why, end)) = kept(snapshot, server) else {
        return finish(snapshot, server, progress, now);
    };
    let name = server.name_any();
    let reason = format!(
        "{name} is off and kept for inspection ({why}); when you are done: gantry release server {name} --powered-off{end}"
    );
    Step::wait(reason, a_day_on(snapshot, now))
}

/// Why a server is kept for inspection, and how that ends without a statement. A person's statement ends it.
fn kept(snapshot: &Snapshot, server: &Server) -> Option<(String, String)> {
    let name = server.name_any();
    let stated = statement(snapshot, server);
    if let Some(quarantine) = &server.spec.quarantine {
        let since = quarantine.at.as_ref().map(|at| at.0);
        let done = stated.is_some_and(|stated| stated.at.as_ref().is_none_or(|at| Some(at.0) >= since));
        let end = format!(", or gantry quarantine server {name} --end");
        return (!done).then(|| (quarantine.reason.clone(), end));
    }
    let failure = server.spec.last_failure.as_ref();
    let failure =
        failure.filter(|failure| snapshot.keep_failed && failure.owner == snapshot.machine.name_any())?;
    let why = format!("attempt {} failed: {}", failure.attempt, failure.reason);
    stated.is_none().then(|| (why, String::new()))
}

/// Carries on with the wipe of a server that nobody keeps and whose old system does not run; gives it back when there is
/// nothing left to wipe.
fn finish(snapshot: &Snapshot, server: &Server, progress: Wipe<'_>, now: Timestamp) -> Step {
    let name = server.name_any();
    match progress {
        Wipe::Due(workflow) => Step::Do(Effect::Wipe { workflow }),
        Wipe::Paused(why, due) => Step::wait(
            format!("the disks of {name} were not wiped ({why}); the next try begins then"),
            due,
        ),
        Wipe::Failed(why) => Step::wait(
            format!(
                "{name} keeps its claim, because its disks were not wiped ({why}); when the cause is gone, have it tried again: \
                 gantry retry server {name}; or give it back as it is, with keys and system: gantry release server {name} \
                 --powered-off --unwiped"
            ),
            a_day_on(snapshot, now),
        ),
        done @ (Wipe::Done | Wipe::Runs(_)) => unclaim(snapshot, server, &done),
    }
}

/// Gives the server back, with what is left to say of its disks.
fn unclaim(snapshot: &Snapshot, server: &Server, progress: &Wipe<'_>) -> Step {
    let reason = match progress {
        Wipe::Done => None,
        Wipe::Paused(why, _) | Wipe::Failed(why) => Some(why.clone()),
        Wipe::Due(_) | Wipe::Runs(_) => {
            Some(wipe::last_failure(snapshot).unwrap_or_else(|| "it was not done".to_owned()))
        }
    };
    let words = statement(snapshot, server).map(|stated| stated.reason.as_str());
    let words = words.filter(|words| !words.is_empty());
    let unwiped = reason.map(|reason| words.map_or(reason.clone(), |words| format!("{reason}; {words}")));
    Step::Do(Effect::Unclaim { unwiped })
}

/// What a person stated for this owner, of whatever power.
fn statement<'a>(snapshot: &Snapshot, server: &'a Server) -> Option<&'a ReleaseStatement> {
    let stated = server.spec.release.as_ref()?;
    (stated.owner == snapshot.machine.name_any()).then_some(stated)
}

/// Whether a person has given the server up as it is: its power is not known, and `servers` quarantines it, or its disks are
/// not to be wiped.
pub(super) fn is_given_up(snapshot: &Snapshot, server: &Server) -> bool {
    statement(snapshot, server).is_some_and(|stated| match stated.power {
        StatedPower::Unknown => true,
        StatedPower::Off => stated.unwiped && is_stated_off(snapshot, server),
    })
}

/// Whether a person has stated that the machine is off, and nothing of ours has started it since.
fn is_stated_off(snapshot: &Snapshot, server: &Server) -> bool {
    let stated = statement(snapshot, server).filter(|stated| stated.power == StatedPower::Off);
    stated.is_some_and(|stated| {
        let at = stated.at.as_ref().map(|at| at.0);
        wipe::begun(snapshot) == 0 || at > wipe::last_end(snapshot)
    })
}

/// Whether nothing of this claim ever ran: no attempt was raised since, or its first boot has not begun. An adopted node runs.
fn never_started(server: &Server) -> bool {
    if server.spec.claim.as_ref().is_some_and(|claim| claim.adopted) {
        return false;
    }
    let status = server.status.as_ref();
    let session = status.and_then(|status| status.boot_session.as_ref());
    let first_boot = status.and_then(|status| status.first_boot.as_ref());
    let Some(attempt) = &server.spec.attempt else {
        return session.is_none() && first_boot.is_none();
    };
    let before = server.spec.claim.as_ref().and_then(|claim| claim.last_attempt);
    match before.and_then(|before| attempt.number.checked_sub(before)) {
        Some(0) => true,
        Some(1) => {
            let begun = |session: &BootSession| {
                session.boot > 1 || session.started_at.is_some() || session.claim.is_some()
            };
            let of_attempt = session.filter(|session| session.attempt == attempt.number);
            // Without a session the machine is not even armed; where the status is gone, nobody knows.
            status.is_some()
                && !of_attempt.is_some_and(begun)
                && first_boot.is_none_or(|first| first.attempt < attempt.number)
        }
        _ => false,
    }
}

fn person(snapshot: &Snapshot, server: &Server, now: Timestamp) -> Step {
    let name = server.name_any();
    let why = match &server.spec.bmc {
        None => "has no BMC".to_owned(),
        Some(bmc) => format!("names BMC {bmc}, which does not exist"),
    };
    let reason = format!(
        "{name} {why}, so nobody but you can tell that it is off: switch it off, then: gantry release server {name} \
         --powered-off"
    );
    Step::wait(reason, a_day_on(snapshot, now))
}

/// The end of the present day since the state was entered: a person is waited for, and reminded each day.
pub(crate) fn a_day_on(snapshot: &Snapshot, now: Timestamp) -> Timestamp {
    let mut until = snapshot.since(now);
    while until <= now {
        until = later(until, PERSON);
    }
    until
}

fn power_off(snapshot: &Snapshot, server: &Server, progress: Wipe<'_>, now: Timestamp) -> Step {
    let prefix = format!(
        "poweroff-{}-{}",
        snapshot.machine.name_any(),
        starts(snapshot, server)
    );
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
    let ended = snapshot.job_ended_at(name).unwrap_or_else(|| snapshot.since(now));
    let why = match snapshot.job(name) {
        Some((JobEnd::Completed, _)) => match confirmed(snapshot, name, ended, now) {
            Confirmed::Off => return give_back(snapshot, server, progress, now),
            Confirmed::Not(why) => why,
            Confirmed::Wait(step) => return step,
        },
        Some((JobEnd::Failed, _)) if never_started(server) => {
            return give_back(snapshot, server, progress, now);
        }
        Some((JobEnd::Failed, message)) => message,
        Some((JobEnd::Running, message)) => {
            let what = match message.as_str() {
                "" => format!("powering {host} off"),
                message => format!("powering {host} off: {message}"),
            };
            return Step::wait(what, later(now, LOOK));
        }
        None => return Step::wait(format!("powering {host} off"), later(now, LOOK)),
    };
    let due = later(
        ended,
        pause_after(last.saturating_add(1), FIRST_PAUSE, LONGEST_PAUSE),
    );
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
            "cannot power {host} off ({why}), tried {times} times; fix its BMC, or switch it off by hand and state it: \
             gantry release server {host} --powered-off; or give it up into quarantine: gantry release server {host} \
             --force --reason TEXT"
        ),
        due,
    )
}

/// The part of the names of power-off Jobs that tells what started the machine since it was to be given back. Each wipe and
/// each inspection does: what Jobs of before it say of its power is void.
fn starts(snapshot: &Snapshot, server: &Server) -> String {
    let wipes = match wipe::begun(snapshot) {
        0 => String::new(),
        wipes => format!("wipe{wipes}-"),
    };
    let last = server.spec.attempt.as_ref();
    match last.filter(|last| last.purpose == Purpose::Inspect) {
        Some(inspection) => format!("{wipes}inspect{}-", inspection.number),
        None => wipes,
    }
}

/// What the BMC says after a power-off.
enum Confirmed {
    Off,
    /// Something else.
    Not(String),
    /// It has not been asked, or has not answered.
    Wait(Step),
}

/// Asks the BMC once more after the Job of this name has ended.
fn confirmed(snapshot: &Snapshot, job: &str, ended: Timestamp, now: Timestamp) -> Confirmed {
    let Some(bmc) = &snapshot.bmc else {
        return Confirmed::Not("its BMC was deleted".to_owned());
    };
    let name = bmc.name_any();
    let said = bmc.status.as_ref().filter(|status| {
        let asked = status.last_polled.as_ref();
        asked.is_some_and(|asked| asked.0 > ended)
    });
    match said.and_then(|status| status.power_state) {
        Some(bmc::PowerState::Off) => return Confirmed::Off,
        Some(bmc::PowerState::On) => {
            return Confirmed::Not(format!("BMC {name} said off, and then on again"));
        }
        Some(bmc::PowerState::Unknown) | None => {}
    }
    let until = later(ended, CONFIRMATION);
    if now >= until {
        return Confirmed::Not(format!("BMC {name} said off once and has not confirmed it"));
    }
    let reason = format!("BMC {name} said off, and is asked once more");
    // Times in objects are whole seconds; what it says in the next one is said afterwards for sure.
    let next = later(ended, SignedDuration::from_secs(1));
    if now < next {
        return Confirmed::Wait(Step::wait(reason, next));
    }
    let asked = bmc.annotations().get(POLL_REQUESTED).map(String::as_str);
    Confirmed::Wait(match asked == Some(job) {
        true => Step::wait(reason, until),
        false => Step::Do(Effect::AskPower { wish: job.to_owned() }),
    })
}
