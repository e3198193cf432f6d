//! What an answer of a driver changes in a status, and what follows from it. Pure.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver::v1::{
    AddressKind, MachineStatus, Outcome, Phase, Power, Prerequisite, PrerequisiteKind, outcome,
};
use driver::{Fault, json};
use jiff::{SignedDuration, Timestamp};
use resources::Time;
use resources::cluster_api::MachineAddress;
use resources::conditions::Holds;
use resources::gantry::ProviderMachinePhase;

use crate::plugin_state::PluginState;
use crate::snapshot::Snapshot;
use crate::status::note;
use crate::step::{Method, Step, fail};
use crate::verdict::{Verdict, kept, line, verdict};

/// Shortest time between two calls about one machine, whatever the driver says.
const SHORTEST: SignedDuration = SignedDuration::from_millis(200);
/// Longest time that a driver may ask for.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Takes the answer to a call in. Nothing means that everything is decided anew at once.
pub(crate) fn take_in(
    snapshot: &mut Snapshot,
    method: Method,
    answer: Result<MachineStatus, Fault>,
    now: Timestamp,
) -> Option<Step> {
    let plugin = snapshot.plugin_mut();
    plugin.call = None;
    plugin.next_call = None;
    match answer {
        Ok(status) => {
            plugin.failures = 0;
            plugin.fault = None;
            keep(snapshot, &status);
            settled(snapshot, method, &status, now)
        }
        Err(fault) => failed(snapshot, method, &fault, now),
    }
}

/// What the driver wants back, and what it says of the machine.
fn keep(snapshot: &mut Snapshot, answer: &MachineStatus) {
    let plugin = snapshot.plugin_mut();
    let outcome = answer
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.outcome.as_ref());
    plugin.receipt = match outcome {
        Some(outcome::Outcome::Accepted(accepted)) => filled(&accepted.receipt),
        _ => None,
    };
    plugin.step = filled(&answer.step);
    plugin.state = (!answer.driver_state.is_empty()).then(|| STANDARD.encode(&answer.driver_state));
    plugin.state_version = answer.state_version;
    if is_nowhere(answer.phase()) {
        return;
    }
    plugin.absent_since = None;
    let keys = answer
        .identity
        .as_ref()
        .and_then(|identity| identity.keys.as_ref());
    if let Some(keys) = keys {
        plugin.identity = json::from_struct(keys);
    }
    let status = snapshot.machine.status.get_or_insert_default();
    let id = answer
        .identity
        .as_ref()
        .and_then(|identity| filled(&identity.provider_id));
    status.provider_id = id.or(status.provider_id.take());
    status.host = filled(&answer.host).or(status.host.take());
    let addresses = addresses(answer, &snapshot.machine.spec.machine);
    // One that is switched off for a while keeps those that it had.
    if addresses.len() > 1 || status.addresses.is_empty() {
        status.addresses = addresses;
    }
    let macs = answer
        .addresses
        .iter()
        .filter_map(|address| address.mac.parse().ok());
    status.mac = macs.into_iter().next().or(status.mac.take());
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

const fn is_nowhere(phase: Phase) -> bool {
    matches!(phase, Phase::Absent | Phase::Deleted)
}

/// Addresses as Cluster API has them; the host name is the machine's own where the driver knows none.
fn addresses(answer: &MachineStatus, name: &str) -> Vec<MachineAddress> {
    let kind = |kind: AddressKind| match kind {
        AddressKind::InternalIp => Some("InternalIP"),
        AddressKind::ExternalIp => Some("ExternalIP"),
        AddressKind::Hostname => Some("Hostname"),
        AddressKind::Unspecified => None,
    };
    let entry = |kind: &str, address: &str| MachineAddress {
        kind: kind.to_owned(),
        address: address.to_owned(),
    };
    let found = answer.addresses.iter();
    let mut found: Vec<MachineAddress> = found
        .filter_map(|address| Some(entry(kind(address.kind())?, &address.address)))
        .collect();
    if !found.iter().any(|address| address.kind == "Hostname") {
        found.insert(0, entry("Hostname", name));
    }
    found
}

fn settled(snapshot: &mut Snapshot, method: Method, answer: &MachineStatus, now: Timestamp) -> Option<Step> {
    match method {
        Method::Create => created(snapshot, answer, now),
        Method::Find => found(snapshot, answer, now),
        Method::Observe => observed(snapshot, answer, now),
        Method::Delete => deleted(snapshot, answer, now),
        Method::Confirm => confirmed(snapshot, answer, now),
    }
}

fn created(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Option<Step> {
    snapshot.plugin_mut().outcome_unknown = false;
    let phase = answer.phase();
    if phase == Phase::Failed {
        return Some(never(snapshot, answer, now));
    }
    if phase == Phase::Running && is_settled(answer) {
        return Some(runs(snapshot, answer, now));
    }
    let status = snapshot.machine.status.get_or_insert_default();
    status.phase = match phase {
        Phase::Booting => ProviderMachinePhase::Booting,
        _ => ProviderMachinePhase::Creating,
    };
    Some(goes_on(snapshot, answer, now))
}

/// The answer to a question whose reason is that nothing is known of a call before.
fn found(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Option<Step> {
    let wanted = snapshot.plugin().spec_hash.unwrap_or_default();
    let differs = !answer.spec_hash.is_empty() && answer.spec_hash != wanted;
    if !is_nowhere(answer.phase()) && differs {
        let reason = format!(
            "{} has the machine, made of another spec than it is to be made of now",
            snapshot.whom()
        );
        note(snapshot, Holds::False, "CONFLICT_SPEC", &reason, now);
        return Some(fail(reason));
    }
    let believed = snapshot.absence_counts_from();
    if is_nowhere(answer.phase())
        && let Some(from) = believed.filter(|from| now < *from)
    {
        let reason = format!(
            "nothing is known of the last call, and {} does not see the machine yet",
            snapshot.whom()
        );
        let next = from.min(steps::later(now, snapshot.pace.poll));
        return Some(wait(
            snapshot,
            Holds::Unknown,
            "OutcomeUnknown",
            reason,
            next,
            now,
        ));
    }
    // Made or not: what is there is carried on with, by the call that is the same however often it is made.
    snapshot.plugin_mut().outcome_unknown = false;
    None
}

fn observed(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Option<Step> {
    let whom = snapshot.whom();
    match answer.phase() {
        Phase::Failed => Some(never(snapshot, answer, now)),
        Phase::Absent | Phase::Deleted => {
            let confirm = snapshot.pace.confirm.max(snapshot.lag.saturating_mul(2));
            let since = snapshot.plugin_mut().absent_since.get_or_insert(Time(now)).0;
            let gone = steps::later(since, confirm);
            let reason = format!("{whom} says that the machine is gone, since {since:.0}");
            if now >= gone {
                note(snapshot, Holds::False, "Gone", &reason, now);
                return Some(fail(reason));
            }
            Some(wait(snapshot, Holds::False, "Gone", reason, gone, now))
        }
        Phase::Running => Some(runs(snapshot, answer, now)),
        phase => {
            let off = answer.observed_power() == Power::Off || phase == Phase::Stopped;
            let reason = match off {
                true => format!("{whom} says that the machine is switched off"),
                false => format!("{whom} says that the machine does not run: {}", words(answer)),
            };
            let next = steps::later(now, snapshot.pace.observe);
            Some(wait(snapshot, Holds::False, "NotRunning", reason, next, now))
        }
    }
}

fn deleted(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Option<Step> {
    if is_nowhere(answer.phase()) {
        let plugin = snapshot.plugin_mut();
        plugin.deleted_at = Some(Time(now));
        plugin.absent_since = None;
        return None;
    }
    Some(goes_on(snapshot, answer, now))
}

fn confirmed(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Option<Step> {
    if !is_nowhere(answer.phase()) {
        // It has come back, or the first answer was wrong.
        snapshot.plugin_mut().deleted_at = None;
        let reason = format!("{} still has the machine, and is asked again", snapshot.whom());
        let next = steps::later(now, snapshot.pace.poll);
        return Some(wait(snapshot, Holds::False, "Deleting", reason, next, now));
    }
    absent(snapshot, now)
}

/// The provider has nothing of a machine that is deleted; whether that can be believed already.
fn absent(snapshot: &mut Snapshot, now: Timestamp) -> Option<Step> {
    if let Some(from) = snapshot.absence_counts_from().filter(|from| now < *from) {
        let reason = format!(
            "{} has nothing of the machine, and may not see yet what was made last",
            snapshot.whom()
        );
        return Some(wait(snapshot, Holds::Unknown, "Deleting", reason, from, now));
    }
    let plugin = snapshot.plugin_mut();
    plugin.absent_since = Some(Time(now));
    let reason = "its provider has nothing of it any more".to_owned();
    note(snapshot, Holds::True, "Deleted", &reason, now);
    None
}

fn is_settled(answer: &MachineStatus) -> bool {
    let outcome = answer
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.outcome.as_ref());
    matches!(outcome, Some(outcome::Outcome::Settled(_)))
}

fn runs(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Step {
    let host = filled(&answer.host)
        .map(|host| format!(" on {host}"))
        .unwrap_or_default();
    let reason = format!("{} says that it runs{host}", snapshot.whom());
    note(snapshot, Holds::True, "Running", &reason, now);
    let next = steps::later(now, snapshot.pace.observe);
    snapshot.plugin_mut().next_call = Some(Time(next));
    if snapshot.state() == PluginState::Running {
        return Step::wait(reason, next);
    }
    Step::go(PluginState::Running, reason)
}

fn never(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Step {
    let terminal = answer.terminal.clone().unwrap_or_default();
    let reason = terminal
        .reason()
        .as_str_name()
        .trim_start_matches("REASON_")
        .to_owned();
    let text = format!(
        "{} says that it will never run: {reason}: {}",
        snapshot.whom(),
        answer.terminal_message
    );
    note(snapshot, Holds::False, "Failed", &text, now);
    fail(text)
}

/// The call is not done: accepted, blocked, or settled on less than what was wanted.
fn goes_on(snapshot: &mut Snapshot, answer: &MachineStatus, now: Timestamp) -> Step {
    let whom = snapshot.whom();
    let outcome = answer.outcome.clone().and_then(|Outcome { outcome }| outcome);
    let (reason, text, pause) = match outcome {
        Some(outcome::Outcome::Blocked(blocked)) => {
            let waits = blocked.prerequisites.iter().filter_map(|one| one.wait);
            let longest = waits.filter_map(span).max();
            let text = format!("{whom} waits: {}", prerequisites(&blocked.prerequisites));
            ("Blocked", text, longest)
        }
        Some(outcome::Outcome::Accepted(accepted)) => {
            let text = format!("{whom} works on it: {}", words(answer));
            ("Accepted", text, accepted.poll_after.and_then(span))
        }
        _ => ("Accepted", format!("{whom} says {}", words(answer)), None),
    };
    let pause = pause.unwrap_or(snapshot.pace.poll).clamp(SHORTEST, LONGEST);
    let percent = u8::try_from(answer.percent.min(100))
        .ok()
        .filter(|share| *share > 0);
    wait(
        snapshot,
        Holds::False,
        reason,
        text,
        steps::later(now, pause),
        now,
    )
    .with_percent(percent)
}

fn span(duration: prost_types::Duration) -> Option<SignedDuration> {
    Some(SignedDuration::new(duration.seconds, duration.nanos))
}

fn prerequisites(all: &[Prerequisite]) -> String {
    let one = |prerequisite: &Prerequisite| {
        let kind = match prerequisite.kind() {
            PrerequisiteKind::PowerOff => "the machine has to be switched off",
            PrerequisiteKind::OtherMachine => "another machine comes first",
            PrerequisiteKind::Person => "a person has to act",
            PrerequisiteKind::Wait => "time has to pass",
            PrerequisiteKind::Unspecified => "something is missing",
        };
        let whose = filled(&prerequisite.machine_uid).map(|uid| format!(" (machine {uid})"));
        let why = filled(&prerequisite.message).map(|message| format!(": {message}"));
        format!("{kind}{}{}", whose.unwrap_or_default(), why.unwrap_or_default())
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Phase, step and receipt for people.
fn words(answer: &MachineStatus) -> String {
    let phase = answer
        .phase()
        .as_str_name()
        .trim_start_matches("PHASE_")
        .to_lowercase();
    let outcome = answer
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.outcome.as_ref());
    let receipt = match outcome {
        Some(outcome::Outcome::Accepted(accepted)) => filled(&accepted.receipt),
        _ => None,
    };
    let step = filled(&answer.step).map(|step| format!(", step {step}"));
    let why = filled(&answer.step_reason).map(|why| format!(" ({why})"));
    let task = receipt.map(|receipt| format!(", task {receipt}"));
    [Some(phase), step, why, task].into_iter().flatten().collect()
}

fn failed(snapshot: &mut Snapshot, method: Method, fault: &Fault, now: Timestamp) -> Option<Step> {
    let known = kept(fault);
    let text = format!("{}: {}: {}", snapshot.whom(), method.name(), line(&known));
    let what = verdict(fault);
    let plugin = snapshot.plugin_mut();
    plugin.failures = plugin.failures.saturating_add(1);
    let failures = plugin.failures;
    let reason = known.reason.clone();
    plugin.fault = Some(known);
    if let Some(state) = &fault.detail.driver_state {
        plugin.state = (!state.is_empty()).then(|| STANDARD.encode(state));
    }
    if method == Method::Create && fault.is_outcome_unknown() {
        plugin.outcome_unknown = true;
    }
    let foreign = fault.reason() == driver::v1::Reason::Foreign;
    match method {
        // What bears the name belongs to somebody else: of this machine there is nothing.
        Method::Delete if foreign => {
            let plugin = snapshot.plugin_mut();
            (plugin.deleted_at, plugin.absent_since) = (Some(Time(now)), None);
            return None;
        }
        Method::Confirm if foreign => return absent(snapshot, now),
        Method::Create if what == Verdict::GiveUp => {
            note(snapshot, Holds::False, &reason, &text, now);
            return Some(fail(text));
        }
        _ => {}
    }
    let pace = snapshot.pace;
    let pause = match what {
        Verdict::Change | Verdict::Pause | Verdict::GiveUp => pace.change,
        Verdict::Again => steps::pause_after(failures, pace.first_pause, pace.longest_pause),
    };
    let asked = fault
        .retry_after()
        .and_then(|wait| SignedDuration::try_from(wait).ok());
    let pause = pause.max(asked.unwrap_or_default());
    let next = steps::later(now, pause);
    // A paused scope is what is waited for, not a time: it opens with a new credential.
    let step = wait(snapshot, Holds::False, &reason, text, next, now);
    if what == Verdict::Pause {
        snapshot.plugin_mut().next_call = None;
    }
    Some(step)
}

/// Waits until the next call, and says why in reason and condition.
fn wait(
    snapshot: &mut Snapshot,
    holds: Holds,
    word: &str,
    text: String,
    next: Timestamp,
    now: Timestamp,
) -> Step {
    note(snapshot, holds, word, &text, now);
    snapshot.plugin_mut().next_call = Some(Time(next));
    Step::wait(text, next)
}
