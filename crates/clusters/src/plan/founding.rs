//! A cluster that does not exist yet: keys, the first member of its control plane, its network, the other members one
//! after the other, the workers beside them. All machines are installed side by side.

use jiff::Timestamp;
use resources::gantry::{MachineRole, PlanStepKind};

use super::balance::{Balance, Policy, balance};
use super::draft::Draft;
use super::names::Names;
use super::removal::remove;
use super::seen::{Seen, Stage};
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
    let mut draft = Draft::default();
    let mut before = Vec::new();
    if !seen.pki {
        before.push(draft.add(PlanStepKind::MakePki, None, Vec::new()));
    }
    let sorted: Vec<(&Pool, Balance<'_>)> = wanted
        .pools
        .iter()
        .map(|pool| (pool, balance(pool, seen, policy, now, verdict)))
        .collect();
    if cannot_begin(&sorted) {
        verdict.hopeless = true;
        give_back(&mut draft, verdict, seen);
        return draft;
    }
    for (pool, sorted) in &sorted {
        match pool.role {
            MachineRole::ControlPlane => {
                control_plane(&mut draft, names, seen, pool, sorted, &before);
                draft.remediates |= !sorted.broken.is_empty();
                for member in sorted.broken.iter().chain(&sorted.surplus).chain(&sorted.leaving) {
                    remove(&mut draft, verdict, seen, member, Vec::new());
                }
            }
            MachineRole::Worker => workers(&mut draft, verdict, seen, names, pool, sorted, &before),
        }
    }
    draft
}

/// Whether no machine is left that could become the first member: then nothing else can come up either.
fn cannot_begin(sorted: &[(&Pool, Balance<'_>)]) -> bool {
    let mut control_plane = sorted
        .iter()
        .filter(|(pool, _)| pool.role == MachineRole::ControlPlane);
    control_plane.all(|(_, balance)| balance.keep.is_empty() && balance.missing.is_empty())
}

/// Gives back what is not installed yet: nothing would ever give it the data to join with.
fn give_back(draft: &mut Draft, verdict: &mut Verdict, seen: &Seen) {
    let early = seen.members.iter().filter(|member| {
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
) {
    let mut members: Vec<(String, u32, bool)> = balance
        .keep
        .iter()
        .map(|member| {
            let installed = member.stage != Stage::Installing;
            (member.name.clone(), member.replacement, installed)
        })
        .collect();
    members.extend(
        balance
            .missing
            .iter()
            .map(|number| (names.next(&pool.name), *number, false)),
    );
    if let Some(founder) = &seen.founder {
        members.sort_by_key(|(name, ..)| name != founder);
    }
    let mut last: Option<String> = None;
    for (at, (name, replacement, installed)) in members.iter().enumerate() {
        let mut after = before.to_vec();
        if !installed {
            after = vec![draft.make(PlanStepKind::Provision, name, &pool.name, *replacement, after)];
        }
        let kind = if at == 0 {
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
