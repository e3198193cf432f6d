//! A cluster that does not exist yet: keys, the first member of its control plane, its network, the other members one
//! after the other, the workers beside them. All machines are installed side by side.

use jiff::Timestamp;
use resources::gantry::{MachineRole, PlanStepKind};

use super::balance::{Balance, Policy, balance};
use super::draft::Draft;
use super::names::Names;
use super::removal::remove;
use super::seen::{Member, Seen, Stage};
use super::verdict::Verdict;
use super::wanted::{Pool, Wanted};
use super::workers::workers;

/// Plans the creation, or what is left of it.
pub(crate) fn creation(
    wanted: &Wanted,
    seen: &Seen,
    policy: Policy,
    names: &mut Names<'_>,
    now: Timestamp,
    verdict: &mut Verdict,
) -> Draft {
    let mut draft = Draft::new(seen);
    let mut before = Vec::new();
    if !seen.pki {
        before.push(draft.add(PlanStepKind::MakePki, None, Vec::new()));
    }
    let sorted: Vec<(&Pool, Balance<'_>)> = wanted
        .pools
        .iter()
        .map(|pool| (pool, balance(wanted, pool, seen, policy, now, verdict)))
        .collect();
    if cannot_begin(&sorted) {
        verdict.hopeless = true;
        give_back(&mut draft, verdict, wanted, seen);
        return draft;
    }
    for (pool, sorted) in &sorted {
        match pool.role {
            MachineRole::ControlPlane => {
                draft.remediates |= !sorted.broken.is_empty();
                let founding = Founders::remove(&mut draft, verdict, seen, sorted);
                control_plane(&mut draft, names, seen, pool, sorted, &before, &founding);
            }
            MachineRole::Worker => workers(&mut draft, verdict, seen, names, pool, sorted, &before),
        }
    }
    // Machines of groups that are behind are installed meanwhile, and join after it.
    let first = draft
        .find(PlanStepKind::InstallCni)
        .or_else(|| draft.find(PlanStepKind::InitControlPlane));
    if let Some(first) = first.filter(|_| seen.older_unserved) {
        draft.add(PlanStepKind::UpdateAddons, None, vec![first]);
    }
    draft
}

/// Which machine may be given `kubeadm init`.
enum Founders {
    /// Any, once these steps are done.
    After(Vec<String>),
    /// None: the one that was given it waits for a person.
    Nobody,
}

impl Founders {
    /// Removes the machines that go. Another one than the founder may start the cluster when that one is gone.
    fn remove(draft: &mut Draft, verdict: &mut Verdict, seen: &Seen, sorted: &Balance<'_>) -> Self {
        let is_founder = |member: &&Member| seen.founder.as_ref() == Some(&member.name);
        let mut gone = None;
        for member in sorted.broken.iter().chain(&sorted.surplus).chain(&sorted.leaving) {
            let step = remove(draft, verdict, seen, member, Vec::new());
            gone = gone.or(step.filter(|_| is_founder(member)));
        }
        let is_there = seen.members.iter().any(|member| is_founder(&member));
        match gone {
            Some(gone) => Self::After(vec![gone]),
            None if is_there && !sorted.keep.iter().any(is_founder) => Self::Nobody,
            None => Self::After(Vec::new()),
        }
    }
}

/// Whether no machine is left that could become the first member: then nothing else can come up either.
fn cannot_begin(sorted: &[(&Pool, Balance<'_>)]) -> bool {
    let mut control_plane = sorted
        .iter()
        .filter(|(pool, _)| pool.role == MachineRole::ControlPlane);
    control_plane.all(|(_, balance)| balance.keep.is_empty() && balance.missing.is_empty())
}

/// Gives back what is not installed yet: nothing would ever give it the data to join with.
fn give_back(draft: &mut Draft, verdict: &mut Verdict, wanted: &Wanted, seen: &Seen) {
    let members = wanted.pools.iter().flat_map(|pool| seen.of_pool(pool));
    let early = members.filter(|member| {
        matches!(member.stage, Stage::Installing | Stage::Leaving) && member.failure.is_none()
    });
    for member in early {
        remove(draft, verdict, seen, member, Vec::new());
    }
}

/// Installs the members, starts the first one, applies the network and joins the others in order.
fn control_plane(
    draft: &mut Draft,
    names: &mut Names<'_>,
    seen: &Seen,
    pool: &Pool,
    balance: &Balance<'_>,
    before: &[String],
    founders: &Founders,
) {
    // The founder is the first of those that stay.
    let made = balance.keep.iter().map(|member| {
        let installed = member.stage != Stage::Installing;
        (member.name.clone(), member.replacement, installed)
    });
    let mut members: Vec<(String, u32, bool)> = made.collect();
    for _ in &balance.missing {
        draft.spares.take(&pool.name);
    }
    // In the order that they have once they are made, so that the first one remains the first one.
    let mut new: Vec<String> = balance.missing.iter().map(|_| names.next(&pool.name)).collect();
    new.sort();
    let missing = new.into_iter().zip(&balance.missing);
    members.extend(missing.map(|(name, number)| (name, *number, false)));
    let mut last: Option<String> = None;
    for (at, (name, replacement, installed)) in members.iter().enumerate() {
        let mut after = before.to_vec();
        if !installed {
            after = vec![draft.make(PlanStepKind::Provision, name, &pool.name, *replacement, after)];
        }
        let Founders::After(gone) = founders else {
            continue;
        };
        let kind = if at == 0 {
            after.extend(gone.iter().cloned());
            PlanStepKind::InitControlPlane
        } else {
            PlanStepKind::JoinControlPlane
        };
        after.extend(last.take());
        let joined = draft.add(kind, Some(name), after);
        last = Some(match kind {
            PlanStepKind::InitControlPlane if !seen.network => {
                draft.add(PlanStepKind::InstallCni, None, vec![joined])
            }
            _ => joined,
        });
    }
}
