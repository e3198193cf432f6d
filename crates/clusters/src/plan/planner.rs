//! The one function that plans: creation, scaling, replacement, remediation, upgrade and renewal of certificates are inputs of
//! it.

use jiff::Timestamp;
use resources::gantry::{MachineRole, PlanClass, PlanStepKind};
use resources::keys;

use super::balance::{Balance, Policy, balance};
use super::certificates::renew;
use super::control_plane::control_plane;
use super::draft::Draft;
use super::ended_certificates::repair;
use super::founding::creation;
use super::names::Names;
use super::only_member::restore;
use super::pause::to_resume;
use super::removal::remove;
use super::seen::{Founding, Member, NodeState, Seen};
use super::upgrade::upgrade;
use super::verdict::Verdict;
use super::wanted::{Pool, Wanted};
use super::workers::workers;

/// What gives the machines of a plan their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Id of the cluster.
    pub cluster_uid: &'a str,
    /// Number of the plan.
    pub number: u32,
}

/// The plan from what was observed to what is wanted, as far as nothing blocks it.
#[must_use]
pub fn plan(wanted: &Wanted, seen: &Seen, policy: Policy, identity: Identity<'_>, now: Timestamp) -> Verdict {
    let seen = &seen.in_order();
    let mut verdict = Verdict::default();
    let mut used = seen.used.clone();
    used.extend(seen.members.iter().map(|member| member.name.clone()));
    let mut names = Names::new(&wanted.name, identity.cluster_uid, identity.number, used);
    let exists = seen.founding == Founding::Done || seen.saved.is_some();
    let mut draft = match seen.saved() {
        Some(saved) => {
            let mut draft = restore(wanted, seen, saved, policy, &mut names, now, &mut verdict);
            complete(&mut draft, seen);
            draft
        }
        None if exists => change(wanted, seen, policy, &mut names, now, &mut verdict),
        None => creation(wanted, seen, policy, &mut names, now, &mut verdict),
    };
    if !exists {
        without_pool(wanted, seen, &mut draft, &mut verdict);
    }
    if !exists && draft.has(PlanStepKind::InitControlPlane) {
        let last = draft.last();
        draft.add(PlanStepKind::Finish, None, last);
    }
    if draft.is_empty() {
        return verdict;
    }
    if seen.unknown_plan.is_some() && draft.changes_machines() {
        draft.requires_approval.get_or_insert_with(|| {
            "a later plan than any that is known here has changed the cluster, as after a restore of older data: check each \
             machine that goes, and that no server that is free here is in use"
                .to_owned()
        });
    }
    if let Some(adopted) = goes_adopted(seen, &draft) {
        draft.requires_approval.get_or_insert_with(|| {
            format!(
                "{} was adopted, so that what is installed on it and what it is for is not known here: check that it may go",
                adopted.name
            )
        });
    }
    let class = match (exists, draft.upgrades, draft.remediates) {
        _ if draft.has(PlanStepKind::RenewCertificates) || draft.has(PlanStepKind::RepairCertificates) => {
            PlanClass::Maintain
        }
        (false, _, _) => PlanClass::Create,
        (true, true, _) => PlanClass::Upgrade,
        (true, _, true) => PlanClass::Remediate,
        (true, _, false) => PlanClass::Scale,
    };
    verdict.plan = Some(draft.finish(wanted, class, identity.number, seen.unknown_plan));
    verdict
}

/// The first machine that was adopted and is taken away although no person has asked for that by its name.
fn goes_adopted<'a>(seen: &'a Seen, draft: &Draft) -> Option<&'a Member> {
    let stays = |member: &&Member| member.adopted && !member.unwanted && !member.is_leaving();
    let mut members = seen.members.iter().filter(stays);
    members.find(|member| draft.takes_away(&member.name))
}

/// Plans a cluster that exists.
fn change(
    wanted: &Wanted,
    seen: &Seen,
    policy: Policy,
    names: &mut Names<'_>,
    now: Timestamp,
    verdict: &mut Verdict,
) -> Draft {
    // Nothing else can be done while no member trusts another one.
    if let Some(repairs) = repair(wanted, seen, now, verdict) {
        return repairs;
    }
    let mut draft = Draft::new(seen);
    let mut all = Vec::new();
    for pool in &wanted.pools {
        let mut sorted = balance(wanted, pool, seen, policy, now, verdict);
        if !sorted.outdated(pool).is_empty() {
            verdict.rolling.insert(pool.name.clone());
        }
        let settled = sorted.clone();
        if seen.is_out_of_sight() && !sorted.missing.is_empty() {
            let reason = format!(
                "{} of {} machines of {} are missing, and none is made while the cluster's API does not answer: it may have \
                 machines that are not known here",
                sorted.missing.len(),
                pool.count,
                pool.name
            );
            verdict.block(&pool.name, reason);
            sorted.missing.clear();
        }
        let adopting = seen.adopting.get(&pool.name).copied().unwrap_or(0);
        let made = sorted.missing.len().saturating_sub(adopting);
        sorted.missing.truncate(made);
        wait_for_control_plane(wanted, seen, pool, &mut sorted, verdict);
        match pool.role {
            MachineRole::ControlPlane => control_plane(&mut draft, verdict, seen, names, pool, &sorted),
            MachineRole::Worker => workers(&mut draft, verdict, seen, names, pool, &sorted, &[]),
        }
        all.push((pool, settled));
    }
    without_pool(wanted, seen, &mut draft, verdict);
    // Machines that join wait for it. Kube-proxy may not be newer than the API servers.
    if seen.older_unserved && seen.behind(wanted).is_none() && !draft.is_empty() {
        draft.add(PlanStepKind::UpdateAddons, None, Vec::new());
    }
    verdict.paused = paused(wanted, seen);
    if draft.is_empty() && seen.network && wanted.paused.is_none() {
        draft = upgrade(wanted, seen, names, &all, verdict);
    }
    // Nothing is checked after it: what a cluster lacks otherwise must not hold it up.
    if let Some(renewals) = renew(wanted, seen, policy, now, &draft, verdict) {
        return renewals;
    }
    complete(&mut draft, seen);
    draft
}

/// How far a rollout is that is paused; `None` when nothing is to be exchanged.
fn paused(wanted: &Wanted, seen: &Seen) -> Option<String> {
    let paused = wanted.paused.as_ref()?;
    let of_pools = |member: &&Member| member.has_joined() && member.pool_in(wanted).is_some();
    let joined = || seen.members.iter().filter(of_pools);
    let is_current = |member: &&Member| {
        let pool = member.pool_in(wanted);
        pool.is_some_and(|pool| !member.is_outdated(pool))
    };
    let (all, current) = (joined().count(), joined().filter(is_current).count());
    let resume = to_resume(&wanted.name);
    let waits = current < all || seen.addons_behind;
    waits.then(|| format!("{paused} at {current} of {all} machines; {resume}"))
}

/// A new node must not be newer than the API servers, so none is made while one of these is to be upgraded to its version.
fn wait_for_control_plane(
    wanted: &Wanted,
    seen: &Seen,
    pool: &Pool,
    sorted: &mut Balance<'_>,
    verdict: &mut Verdict,
) {
    let Some(behind) = seen.older_than(wanted, pool) else {
        return;
    };
    if pool.role != MachineRole::Worker || sorted.missing.is_empty() {
        return;
    }
    let paused = wanted.paused.as_ref();
    let paused = paused.map(|paused| format!(", and {paused}; {}", to_resume(&wanted.name)));
    let reason = format!(
        "machines of {} wait until the control plane has Kubernetes {}: {} has {}{}",
        pool.name,
        pool.version,
        behind.name,
        behind.version,
        paused.unwrap_or_default()
    );
    verdict.block(&pool.name, reason);
    sorted.missing.clear();
    // What works stays until its successor can come.
    let works = |member: &Member| member.has_joined() && member.node == NodeState::Ready;
    sorted.broken.retain(|member| !works(member));
}

/// The workers of pools that are not wanted go. One whose pool nothing says any more stays where it is.
fn without_pool(wanted: &Wanted, seen: &Seen, draft: &mut Draft, verdict: &mut Verdict) {
    let is_wanted = |member: &Member| {
        let pool = wanted.pool(&member.pool);
        member.role == MachineRole::ControlPlane || pool.is_some_and(|pool| pool.role == MachineRole::Worker)
    };
    for member in seen.members.iter().filter(|member| !is_wanted(member)) {
        if member.pool.is_empty() && !member.unwanted && !member.is_leaving() {
            let name = &member.name;
            let reason = format!(
                "nothing says which worker node group {name} belongs to, so it is left alone; give its Machine the label \
                 {} again, or replace it: gantry replace machine {name}",
                keys::NODE_GROUP
            );
            verdict.block(name, reason);
        } else {
            remove(draft, verdict, seen, member, Vec::new());
        }
    }
}

/// What the cluster has to have in the end, and is checked after each change.
fn complete(draft: &mut Draft, seen: &Seen) {
    if !seen.network {
        draft.add(PlanStepKind::InstallCni, None, Vec::new());
    }
    if !draft.is_empty() || !seen.finished {
        let last = draft.last();
        draft.add(PlanStepKind::Finish, None, last);
    }
}
