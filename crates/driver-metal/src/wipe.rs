//! Whether the disks of a server that is being given back are still to be wiped, and how far that is. Everything is read from
//! objects: the policy, the disks that are pinned, and the Workflows `<ProviderMachine>-wipe-<n>`.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::gantry::{DataDisk, PinnedDisk, Server, WipePolicy};
use resources::keys::FACT_HOPELESS;
use resources::tinkerbell::{Hardware, Workflow, WorkflowState};
use steps::later;

use crate::snapshot::Snapshot;

/// Times that a wipe is tried before somebody has to look at it.
const TRIES: u32 = 3;
/// Pause after the first try that failed; it doubles with each one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// What is left to do before the server may be given back as its policy says.
#[derive(Debug, PartialEq)]
pub(crate) enum Wipe<'a> {
    /// Nothing: no policy asks for it, nothing was written, or it is done.
    Done,
    /// It is being done by this Workflow.
    Runs(&'a Workflow),
    /// The next try may begin, as the Workflow of this name.
    Due(String),
    /// The last try failed, for this reason; the next one begins then.
    Paused(String, Timestamp),
    /// It failed, for this reason, and is not tried again by itself.
    Failed(String),
}

/// How far the wipe of this server is.
pub(crate) fn wipe<'a>(snapshot: &'a Snapshot, server: &Server, now: Timestamp) -> Wipe<'a> {
    let last = begun(snapshot);
    let workflow = snapshot.workflows.get(&name(snapshot, last));
    if let Some(runs) = workflow.filter(|workflow| !has_ended(workflow)) {
        return Wipe::Runs(runs);
    }
    let policy = server.spec.wipe.unwrap_or(snapshot.wipe);
    if policy == WipePolicy::None || disks(server, snapshot.hardware.get(&server.spec.hardware)).is_empty() {
        return Wipe::Done;
    }
    let next = || name(snapshot, last.saturating_add(1));
    let Some(status) = workflow.and_then(|workflow| workflow.status.as_ref()) else {
        return Wipe::Due(next());
    };
    if status.state == Some(WorkflowState::Success) {
        return Wipe::Done;
    }
    let wish = server.spec.retry_requested_at.as_ref().map(|wish| wish.0);
    let forgiven =
        |number: &u32| wish.is_some_and(|wish| ended_at(snapshot, *number).is_some_and(|end| end < wish));
    let tried = (1..=last).filter(|number| !forgiven(number)).count();
    let tried = u32::try_from(tried).unwrap_or(u32::MAX);
    let why = status
        .reason
        .clone()
        .unwrap_or_else(|| "it gave no reason".to_owned());
    let Some(end) = ended_at(snapshot, last).filter(|_| tried > 0) else {
        return Wipe::Due(next());
    };
    if tried >= TRIES || status.facts.get(FACT_HOPELESS).is_some_and(|fact| fact == "true") {
        return Wipe::Failed(why);
    }
    let due = later(end, FIRST_PAUSE.saturating_mul(1 << (tried - 1)));
    if now >= due {
        Wipe::Due(next())
    } else {
        Wipe::Paused(why, due)
    }
}

/// Whether a Workflow of this machine is one that wipes.
pub(crate) fn is_wipe(snapshot: &Snapshot, workflow: &str) -> bool {
    number(snapshot, workflow).is_some()
}

/// The highest number of a wipe that was begun; 0 where none was.
pub(crate) fn begun(snapshot: &Snapshot) -> u32 {
    let numbers = snapshot
        .workflows
        .keys()
        .filter_map(|name| number(snapshot, name));
    numbers.max().unwrap_or_default()
}

/// Whether the last wipe has succeeded.
pub(crate) fn succeeded(snapshot: &Snapshot) -> bool {
    let workflow = snapshot.workflows.get(&name(snapshot, begun(snapshot)));
    let status = workflow.and_then(|workflow| workflow.status.as_ref());
    status.is_some_and(|status| status.state == Some(WorkflowState::Success))
}

/// Why the last wipe failed, if it did.
pub(crate) fn last_failure(snapshot: &Snapshot) -> Option<String> {
    let workflow = snapshot.workflows.get(&name(snapshot, begun(snapshot)))?;
    let failed = has_ended(workflow) && !succeeded(snapshot);
    workflow.status.as_ref()?.reason.clone().filter(|_| failed)
}

/// When the last wipe ended, well or not: what was known of the machine's power before is void since.
pub(crate) fn last_end(snapshot: &Snapshot) -> Option<Timestamp> {
    ended_at(snapshot, begun(snapshot))
}

/// The disks that hold what this claim has written, each once. Where it has written and an earlier owner's disks were not
/// wiped, every disk that any attempt has written to. Never one that the Hardware calls a data disk by now.
pub(crate) fn disks<'a>(server: &'a Server, hardware: Option<&Hardware>) -> Vec<&'a PinnedDisk> {
    // With a list that is not valid no wipe is handed out.
    let data_disks = hardware
        .and_then(|hardware| DataDisk::of(hardware).ok())
        .unwrap_or_default();
    let is_data_disk = |pin: &PinnedDisk| {
        let is = |data_disk: &DataDisk| data_disk.is(pin.serial.as_deref(), pin.wwn.as_deref());
        data_disks.iter().any(is)
    };
    let pins: Vec<&PinnedDisk> = server
        .spec
        .disks
        .iter()
        .filter(|pin| !is_data_disk(pin))
        .collect();
    let before = server.spec.claim.as_ref().and_then(|claim| claim.last_attempt);
    let of_claim = |pin: &&PinnedDisk| before.is_none_or(|before| pin.attempt > before);
    let all = server.spec.unwiped.is_some() && pins.iter().any(of_claim);
    let identity = |pin: &PinnedDisk| (pin.serial.clone(), pin.wwn.clone(), pin.size, pin.path.clone());
    let mut disks: Vec<&PinnedDisk> = Vec::new();
    for pin in pins.into_iter().filter(|pin| all || of_claim(pin)) {
        if disks.iter().all(|known| identity(known) != identity(pin)) {
            disks.push(pin);
        }
    }
    disks
}

/// Name of the last wipe that was begun.
pub(crate) fn newest(snapshot: &Snapshot) -> Option<String> {
    match begun(snapshot) {
        0 => None,
        number => Some(name(snapshot, number)),
    }
}

fn prefix(snapshot: &Snapshot) -> String {
    format!("{}-wipe-", snapshot.machine.name_any())
}

fn name(snapshot: &Snapshot, number: u32) -> String {
    format!("{}{number}", prefix(snapshot))
}

fn number(snapshot: &Snapshot, workflow: &str) -> Option<u32> {
    workflow.strip_prefix(&prefix(snapshot))?.parse().ok()
}

fn has_ended(workflow: &Workflow) -> bool {
    let state = workflow.status.as_ref().and_then(|status| status.state);
    state.is_some_and(WorkflowState::is_terminal)
}

fn ended_at(snapshot: &Snapshot, number: u32) -> Option<Timestamp> {
    let workflow = snapshot.workflows.get(&name(snapshot, number))?;
    let since = workflow.status.as_ref()?.since.as_ref()?;
    has_ended(workflow).then_some(since.0)
}
