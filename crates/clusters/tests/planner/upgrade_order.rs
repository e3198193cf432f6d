//! In which order machines of another revision are exchanged, in every answer of the planner.

use clusters::{GateState, Gates, Member, Stage};
use resources::gantry::{MachineRole, PlanClass, PlanStepKind};

use crate::graph::Graph;
use crate::holds::{Holds, ensure, is_fine, is_outdated};
use crate::observations::Case;
use crate::samples::is_of;

/// What works goes for another revision alone in a plan of its own, workers after the control plane, and each worker only when
/// enough others are there. A node of a new version joins when the API servers have it.
pub(crate) fn upgrades_are_in_order(case: &Case, graph: &Graph<'_>) -> Holds {
    let seen = &case.seen;
    let goes = graph.machines(PlanStepKind::RemoveMachine);
    let works = |member: &&Member| {
        is_fine(&Member {
            revision: String::new(),
            ..(*member).clone()
        })
    };
    let exchanged: Vec<&Member> = seen
        .members
        .iter()
        .filter(|member| goes.contains(member.name.as_str()) && is_outdated(member))
        .filter(works)
        .collect();
    let is_upgrade = graph.plan.class == PlanClass::Upgrade;
    ensure(!is_upgrade || case.wanted.paused.is_none(), || {
        "machines are exchanged while that is paused".to_owned()
    })?;
    let counts = case.wanted.pools.iter().all(|pool| {
        let there = seen.members.iter().filter(|member| is_of(member, pool)).count();
        there <= pool.count
    });
    let wanted = |member: &&Member| case.wanted.pools.iter().any(|pool| is_of(member, pool));
    let unasked = exchanged
        .iter()
        .filter(|member| wanted(member) && !member.first_out);
    ensure(is_upgrade || !counts || unasked.count() == 0, || {
        format!("{exchanged:?} go, and it is no upgrade")
    })?;
    if !is_upgrade {
        return Ok(());
    }
    let control_plane = |name: &str| {
        let mut members = seen.members.iter();
        members.any(|member| member.name == name && member.role == MachineRole::ControlPlane)
    };
    let removals = || graph.of(PlanStepKind::RemoveMachine);
    let name = |step: &resources::gantry::PlanStep| step.machine.clone().unwrap_or_default();
    for worker in removals().filter(|step| !control_plane(&name(step))) {
        for member in removals().filter(|step| control_plane(&name(step))) {
            ensure(graph.is_before(member, worker), || {
                format!("{} before {}", name(worker), name(member))
            })?;
        }
    }
    for join in graph.of(PlanStepKind::JoinWorker) {
        let pool = join.pool.as_deref().and_then(|pool| case.wanted.pool(pool));
        let version = pool.map_or(crate::samples::VERSION, |pool| pool.version.as_str());
        let old = |member: &&Member| {
            member.role == MachineRole::ControlPlane
                && member.stage != Stage::Leaving
                && member.version.as_str() < version
        };
        let made = !seen.members.iter().any(|member| member.name == name(join));
        for member in seen.members.iter().filter(old).filter(|_| made) {
            ensure(graph.leaves_etcd_before(&member.name, join), || {
                format!("{} joins while {} is old", name(join), member.name)
            })?;
        }
    }
    Ok(())
}

/// Where upgrade gates are named, what works goes for another revision only after those of each machine that has joined, or joins
/// before.
pub(crate) fn gates_come_between(case: &Case, graph: &Graph<'_>) -> Holds {
    let seen = &case.seen;
    if seen.gates == Gates::None {
        return ensure(graph.of(PlanStepKind::RunGates).count() == 0, || {
            "gates are run that nobody has named".to_owned()
        });
    }
    if graph.plan.class != PlanClass::Upgrade {
        return Ok(());
    }
    let is_current = |member: &&Member| member.stage == Stage::Joined && !is_outdated(member);
    let open: Vec<&Member> = seen
        .members
        .iter()
        .filter(is_current)
        .filter(|member| member.gate != GateState::NotNeeded)
        .filter(|member| case.wanted.pools.iter().any(|pool| is_of(member, pool)))
        .collect();
    let old = |name: &str| {
        seen.members
            .iter()
            .any(|member| member.name == name && is_outdated(member))
    };
    let removals = [
        PlanStepKind::Drain,
        PlanStepKind::RemoveMember,
        PlanStepKind::RemoveMachine,
    ];
    let joins = [
        PlanStepKind::JoinControlPlane,
        PlanStepKind::RestoreControlPlane,
        PlanStepKind::JoinWorker,
    ];
    let steps = graph.plan.steps.iter();
    for step in steps.filter(|step| removals.contains(&step.kind)) {
        let name = step.machine.as_deref().unwrap_or_default();
        if !old(name) {
            continue;
        }
        let waits = |machine: &str| graph.has_before(PlanStepKind::RunGates, machine, step);
        let early = open.iter().find(|member| !waits(&member.name));
        ensure(early.is_none(), || {
            format!("{} before the gates of {early:?}", step.text(1))
        })?;
        let before = graph.plan.steps.iter().filter(|join| joins.contains(&join.kind));
        for join in before.filter(|join| graph.is_before(join, step)) {
            let joined = join.machine.as_deref().unwrap_or_default();
            ensure(waits(joined), || {
                format!("{} before the gates of {joined}", step.text(1))
            })?;
        }
    }
    Ok(())
}
