//! A control plane of one member is installed anew where no host is free for a second one: etcd is stopped and its data are
//! saved, the machine goes, and the next one on its host starts with those data (DESIGN §7.9).
//!
//! Until the data are whole everything can be taken back. From then on there is one way, whatever is wanted meanwhile: the
//! machine whose etcd was stopped goes, and a member with the saved data starts.

use jiff::Timestamp;
use resources::gantry::{MachineRole, PlanStepKind};

use super::balance::{Balance, Policy, balance};
use super::cluster_config::config_step;
use super::draft::Draft;
use super::names::Names;
use super::removal::is_overdue;
use super::seen::{EtcdMember, EtcdState, Member, NodeState, SavedData, Seen, Stage};
use super::verdict::Verdict;
use super::wanted::{Pool, Wanted};

/// Whether a machine runs the only member of etcd, and that one works.
pub(crate) fn is_only_member(seen: &Seen, member: &Member) -> bool {
    let EtcdState::Members(etcd) = &seen.etcd else {
        return false;
    };
    let is_it =
        |only: &EtcdMember| only.machine.as_ref() == Some(&member.name) && only.voting && only.healthy;
    matches!(etcd.as_slice(), [only] if is_it(only))
}

/// Installs the only member anew, as `next` where that is there already, when the steps `after` are done. Returns the id of
/// the last step.
pub(crate) fn install_anew(
    draft: &mut Draft,
    seen: &Seen,
    names: &mut Names<'_>,
    pool: &Pool,
    (member, next): (&Member, Option<&Member>),
    mut after: Vec<String>,
) -> String {
    let name = Some(member.name.as_str());
    draft.requires_approval.get_or_insert_with(|| {
        format!(
            "{} is the only member of the control plane, and no host is free for another one: its data are saved, and the \
             cluster's API does not answer until the next machine has started with them; pods of other nodes go on",
            member.name
        )
    });
    after.extend(config_step(draft, seen, pool));
    if member.node == NodeState::Ready {
        after = vec![draft.add(PlanStepKind::Drain, name, after)];
    }
    let saved = draft.add(PlanStepKind::SaveEtcd, name, after);
    let gone = draft.add(PlanStepKind::RemoveMachine, name, vec![saved]);
    let number = next.map_or(0, |next| next.replacement);
    let next = next.map_or_else(|| names.next(&pool.name), |next| next.name.clone());
    let made = draft.make(PlanStepKind::Provision, &next, &pool.name, number, vec![gone]);
    draft.add(PlanStepKind::RestoreControlPlane, Some(&next), vec![made])
}

/// Plans what is left of it.
pub(crate) fn restore(
    wanted: &Wanted,
    seen: &Seen,
    saved: &SavedData,
    policy: Policy,
    names: &mut Names<'_>,
    now: Timestamp,
    verdict: &mut Verdict,
) -> Draft {
    let mut draft = Draft::new(seen);
    let mut pools = wanted.pools.iter();
    let Some(pool) = pools.find(|pool| pool.role == MachineRole::ControlPlane) else {
        return draft;
    };
    let is_old = |member: &Member| member.name == saved.machine || saved.given_up.contains(&member.name);
    let mut others = seen.clone();
    others.members.retain(|member| !is_old(member));
    let mut gone = Vec::new();
    if saved.machine.is_empty() {
        draft.requires_approval = Some(
            "a person wants the cluster to start with a snapshot: what was written after it is lost, and every machine of the \
             control plane is installed anew"
                .to_owned(),
        );
        for member in seen.members.iter().filter(|member| is_old(member)) {
            match remove(&mut draft, verdict, member, Vec::new()) {
                Some(step) => gone.push(step),
                // It may still serve what is given up.
                None => return draft,
            }
        }
    }
    if let Some(old) = seen.members.iter().find(|member| member.name == saved.machine) {
        let mut after = Vec::new();
        if saved.is_whole && !(saved.is_stopped || old.is_leaving() || old.retry) {
            verdict.block(&old.name, no_evidence(&old.name));
            return draft;
        }
        if !saved.is_whole {
            after.push(draft.add(PlanStepKind::SaveEtcd, Some(&old.name), Vec::new()));
            // It was approved as this.
            draft.upgrades = old.is_outdated(pool);
            draft.requires_approval = Some(format!("the etcd of {} is stopped", old.name));
        }
        match remove(&mut draft, verdict, old, after) {
            Some(step) => gone.push(step),
            None => return draft,
        }
    }
    draft.remediates = true;
    let sorted = balance(wanted, pool, &others, policy, now, verdict);
    // Nothing has started with data that are not whole yet, so what goes anyway is not waited for: a plan that did would be another
    // one than the plan that was approved, and etcd would go on until that one is approved as well.
    let exists = saved.is_whole || saved.machine.is_empty();
    let go = sorted.broken.iter().chain(&sorted.surplus).chain(&sorted.leaving);
    for member in go.filter(|_| exists) {
        match remove(&mut draft, verdict, member, Vec::new()) {
            Some(step) => gone.push(step),
            // It may run the saved data.
            None => return draft,
        }
    }
    start(&mut draft, names, pool, &sorted, gone);
    draft
}

/// What is saved may be older than the cluster, as after a restore of older data.
fn no_evidence(name: &str) -> String {
    format!(
        "the etcd of {name} was stopped and its data were saved, and it does not say any more that it is stopped: power {name} \
         on, or, if it is gone for good and its cluster runs nowhere else, go on with the saved data: gantry retry machine {name}"
    )
}

/// The step by which a machine goes. `None` when its driver does not get done.
fn remove(draft: &mut Draft, verdict: &mut Verdict, member: &Member, after: Vec<String>) -> Option<String> {
    let remove = || draft.add(PlanStepKind::RemoveMachine, Some(&member.name), after);
    (!is_overdue(verdict, member)).then(remove)
}

/// One machine starts with the data; others join it later.
fn start(draft: &mut Draft, names: &mut Names<'_>, pool: &Pool, sorted: &Balance<'_>, gone: Vec<String>) {
    let (name, number, is_installed) = match (sorted.keep.first(), sorted.missing.first()) {
        (Some(member), _) => {
            let is_installed = member.stage != Stage::Installing;
            (member.name.clone(), member.replacement, is_installed)
        }
        (None, Some(number)) => (names.next(&pool.name), *number, false),
        // The machines before it have failed too often: that was said.
        (None, None) => return,
    };
    let mut after = Vec::new();
    if !is_installed {
        let kind = PlanStepKind::Provision;
        after.push(draft.make(kind, &name, &pool.name, number, gone.clone()));
    }
    after.extend(gone);
    draft.add(PlanStepKind::RestoreControlPlane, Some(&name), after);
}
