//! What holds of every answer of the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use clusters::{ApiState, EtcdMember, EtcdState, Founding, GateState, Gates, Member, Stage, Verdict};
use resources::anywhere::Taint;
use resources::gantry::{MachineRole, PlanClass, PlanStepKind};

use crate::graph::Graph;
use crate::holds::{Holds, ensure, is_fine};
use crate::observations::Case;
use crate::samples::{CLUSTER, answer, is_of};
use crate::tape::{Tape, for_tapes};
use crate::upgrade_order::{gates_come_between, upgrades_are_in_order};

/// Pairs of wanted and observed clusters.
const CASES: u32 = 10_000;
/// Bytes of a tape; more of them than a case reads.
const LENGTH: usize = 256;

#[test]
fn of_every_answer() {
    for_tapes(CASES, LENGTH, |tape| {
        let case = Case::new(tape);
        let verdict = answer(&case.wanted, &case.seen);
        let checks = [
            check(&case, &verdict),
            same_again(&case, &verdict, tape),
            labels_and_taints_need_no_plan(&case, &verdict),
        ];
        let failed = checks.into_iter().find_map(Result::err);
        failed.map_or(Ok(()), |what| Err(format!("{what}\n{case:#?}\n{verdict:#?}")))
    });
}

/// The random cases must not all be alike: each kind of step, and each way to answer, occurs often.
#[test]
fn the_cases_are_of_all_kinds() {
    let seen = Mutex::new(BTreeMap::<String, usize>::new());
    for_tapes(2_000, LENGTH, |tape| {
        let case = Case::new(tape);
        let verdict = answer(&case.wanted, &case.seen);
        let mut seen = seen.lock().unwrap();
        let mut count = |what: String| *seen.entry(what).or_default() += 1;
        for step in verdict.plan.iter().flat_map(|plan| &plan.steps) {
            count(format!("{:?}", step.kind));
        }
        count(match (&verdict.plan, verdict.blocked.is_empty()) {
            (None, true) => "nothing".to_owned(),
            (None, false) => "blocked".to_owned(),
            (Some(_), true) => "plan".to_owned(),
            (Some(_), false) => "plan and block".to_owned(),
        });
        if verdict
            .plan
            .as_ref()
            .is_some_and(|plan| plan.class == PlanClass::Upgrade)
        {
            count("upgrade".to_owned());
        }
        if verdict.hopeless {
            count("hopeless".to_owned());
        }
        Ok(())
    });
    let seen = seen.into_inner().unwrap();
    let kinds = [
        "MakePki",
        "Provision",
        "InitControlPlane",
        "InstallCni",
        "JoinControlPlane",
        "JoinWorker",
        "Drain",
        "RemoveMember",
        "RemoveMachine",
        "UpdateClusterConfig",
        "UpdateAddons",
        "RunGates",
        "Finish",
        "upgrade",
        "nothing",
        "blocked",
        "plan",
        "plan and block",
        "hopeless",
    ];
    for kind in kinds {
        assert!(
            seen.get(kind).is_some_and(|count| *count >= 20),
            "{kind}: {seen:#?}"
        );
    }
}

fn check(case: &Case, verdict: &Verdict) -> Holds {
    blocks_are_stated(case, verdict)?;
    nothing_exactly_when_as_wanted(case, verdict)?;
    let Some(plan) = &verdict.plan else {
        return Ok(());
    };
    let graph = Graph::new(plan)?;
    foreign_machines_are_left_alone(case, &graph)?;
    names_are_new(case, &graph)?;
    no_more_machines_than_wanted(case, &graph)?;
    quorum_holds(case, &graph)?;
    silence_takes_nothing_away(case, &graph)?;
    upgrades_are_in_order(case, &graph)?;
    gates_come_between(case, &graph)?;
    adopted_machines_go_with_approval(case, &graph)?;
    let changes = !graph.made().is_empty() || !removed(&graph).is_empty();
    ensure(
        !(case.seen.unknown_plan.is_some() && changes) || plan.requires_approval.is_some(),
        || "the records are older than the cluster, and nobody has to approve".to_owned(),
    )
}

/// Unless a person has asked for it by the name of the machine.
fn adopted_machines_go_with_approval(case: &Case, graph: &Graph<'_>) -> Holds {
    let gone = removed(graph);
    let stays = |member: &&Member| member.adopted && !member.unwanted && member.stage != Stage::Leaving;
    let mut adopted = case.seen.members.iter().filter(stays);
    let goes = adopted.find(|member| gone.contains(member.name.as_str()));
    ensure(goes.is_none() || graph.plan.requires_approval.is_some(), || {
        format!("an adopted machine goes, and nobody has to approve: {goes:?}")
    })
}

/// Nodes with other labels and taints are the same nodes.
fn labels_and_taints_need_no_plan(case: &Case, verdict: &Verdict) -> Holds {
    let mut wanted = case.wanted.clone();
    for pool in &mut wanted.pools {
        pool.labels.insert("rack".to_owned(), "r1".to_owned());
        pool.taints = Some(vec![Taint {
            key: "dedicated".to_owned(),
            effect: "NoExecute".to_owned(),
            ..Taint::default()
        }]);
    }
    let other = answer(&wanted, &case.seen);
    ensure(other == *verdict, || format!("labels and taints: {other:#?}"))
}

/// The same observation in another order gives the same answer.
fn same_again(case: &Case, verdict: &Verdict, tape: &[u8]) -> Holds {
    let mut seen = case.seen.clone();
    let mut tape = Tape::new(tape);
    let mut shuffle = |length: usize| -> Vec<usize> { (1..length).map(|at| tape.below(at + 1)).collect() };
    for (at, with) in shuffle(seen.members.len()).into_iter().enumerate() {
        seen.members.swap(at + 1, with);
    }
    if let EtcdState::Members(members) = &mut seen.etcd {
        members.reverse();
    }
    ensure(answer(&case.wanted, &seen) == *verdict, || {
        "another order, another answer".to_owned()
    })
}

fn blocks_are_stated(case: &Case, verdict: &Verdict) -> Holds {
    let mut subjects: BTreeSet<String> = case
        .seen
        .members
        .iter()
        .map(|member| member.name.clone())
        .collect();
    subjects.extend(case.wanted.pools.iter().map(|pool| pool.name.clone()));
    subjects.extend(voters(case).into_iter().flatten().map(|member| member.subject()));
    for block in &verdict.blocked {
        ensure(subjects.contains(&block.subject), || {
            format!("blocked: {}", block.subject)
        })?;
        ensure(block.reason.len() > 20, || {
            format!("{}: no reason", block.subject)
        })?;
    }
    ensure(!verdict.hopeless || !verdict.blocked.is_empty(), || {
        "it can't begin, and nothing says why".to_owned()
    })
}

/// All members of etcd, where they are known.
fn voters(case: &Case) -> Option<&Vec<EtcdMember>> {
    match &case.seen.etcd {
        EtcdState::Members(members) => Some(members),
        EtcdState::Unknown => None,
    }
}

fn nothing_exactly_when_as_wanted(case: &Case, verdict: &Verdict) -> Holds {
    let seen = &case.seen;
    let counts = case.wanted.pools.iter().all(|pool| {
        let members = seen.members.iter().filter(|member| is_of(member, pool));
        members.count() == pool.count
    });
    let pools = &case.wanted.pools;
    let gated = seen.gates == Gates::Named && case.wanted.paused.is_none();
    let all = |member: &Member| {
        let passed = !gated || member.gate == GateState::NotNeeded;
        is_fine(member) && passed && pools.iter().any(|pool| is_of(member, pool))
    };
    let strange = voters(case)
        .into_iter()
        .flatten()
        .any(|member| member.machine.is_none());
    let exists = seen.founding == Founding::Done && seen.network && seen.finished && !seen.addons_behind;
    let as_wanted = exists && counts && seen.members.iter().all(all);
    let nothing = verdict.plan.is_none() && verdict.blocked.is_empty() && verdict.paused.is_none();
    if as_wanted && !strange {
        ensure(nothing && verdict.look_again.is_none(), || {
            "it is as wanted".to_owned()
        })?;
    }
    // What etcd is like is of no interest while the API is silent: nothing could be done.
    if nothing && verdict.look_again.is_none() && seen.api == ApiState::Answers {
        ensure(as_wanted && !strange, || {
            "nothing to do, and not as wanted".to_owned()
        })?;
    }
    Ok(())
}

fn removed<'a>(graph: &Graph<'a>) -> BTreeSet<&'a str> {
    let kinds = [
        PlanStepKind::Drain,
        PlanStepKind::RemoveMember,
        PlanStepKind::RemoveMachine,
    ];
    kinds.into_iter().flat_map(|kind| graph.machines(kind)).collect()
}

/// A step names a machine of the cluster, one that the plan makes, or a member of etcd that is on no machine and dead.
fn foreign_machines_are_left_alone(case: &Case, graph: &Graph<'_>) -> Holds {
    let made = graph.made();
    for step in &graph.plan.steps {
        let Some(machine) = step.machine.as_deref() else {
            continue;
        };
        let known = case.seen.members.iter().any(|member| member.name == machine);
        let mut strays = voters(case).into_iter().flatten();
        let dead =
            strays.any(|member| member.subject() == machine && !member.healthy && member.machine.is_none());
        let takes_out = step.kind == PlanStepKind::RemoveMember && dead;
        ensure(known || made.contains_key(machine) || takes_out, || step.text(1))?;
    }
    Ok(())
}

fn names_are_new(case: &Case, graph: &Graph<'_>) -> Holds {
    let seen = &case.seen;
    for (machine, pool) in graph.made() {
        let known = seen.members.iter().any(|member| member.name == machine);
        let prefix = format!("{CLUSTER}-{pool}-");
        ensure(
            known || machine.starts_with(&prefix) && !seen.used.contains(machine),
            || format!("{machine} was there before"),
        )?;
    }
    let makes = |kind| graph.of(kind).filter_map(|step| step.machine.as_deref());
    let all: Vec<&str> = makes(PlanStepKind::Provision)
        .chain(makes(PlanStepKind::JoinWorker))
        .collect();
    let distinct: BTreeSet<&&str> = all.iter().collect();
    ensure(distinct.len() == all.len(), || {
        format!("a machine is made twice: {all:?}")
    })
}

/// Whether a machine that failed in the place of others that failed has to be looked at by a person.
fn has_failed_too_often(member: &Member) -> bool {
    member.failure.is_some() && member.replacement >= 2 && !member.retry
}

/// A pool that gets machines has no more than it wants when the plan is done, and a control plane never more than one
/// above that. One that has failed too often stays until a person has looked at it, and does not count.
fn no_more_machines_than_wanted(case: &Case, graph: &Graph<'_>) -> Holds {
    let goes = graph.machines(PlanStepKind::RemoveMachine);
    for pool in &case.wanted.pools {
        let members = case.seen.members.iter();
        let members: Vec<&Member> = members
            .filter(|member| is_of(member, pool) && member.stage != Stage::Leaving)
            .collect();
        let made = graph.made().into_iter();
        let new = made
            .filter(|(machine, of)| *of == pool.name && !members.iter().any(|member| member.name == *machine))
            .count();
        let stay = members
            .iter()
            .filter(|member| !goes.contains(member.name.as_str()) && !has_failed_too_often(member))
            .count();
        ensure(new == 0 || stay + new <= pool.count, || {
            format!(
                "{}: {stay} stay, {new} come, {} are wanted",
                pool.name, pool.count
            )
        })?;
        // What is not in etcd goes beside its successor.
        let in_etcd = |member: &&&Member| {
            let mut members = voters(case).into_iter().flatten();
            members.any(|known| known.machine.as_ref() == Some(&member.name))
        };
        // One after the other, as the order of etcd's changes is checked.
        if graph.plan.class == PlanClass::Upgrade {
            continue;
        }
        let stay_longer = members.iter().filter(in_etcd).count();
        let most = pool.count + 1;
        let at_once = stay_longer + new;
        ensure(
            pool.role == MachineRole::Worker || new == 0 || at_once <= most,
            || format!("{}: {at_once} at once, {} are wanted", pool.name, pool.count),
        )?;
    }
    Ok(())
}

/// Changes of etcd come one after the other; each is possible with the quorum there is then, and leaves one.
fn quorum_holds(case: &Case, graph: &Graph<'_>) -> Holds {
    let changes = graph.changes_of_etcd()?;
    let Some(members) = voters(case) else {
        let takes_out = graph.machines(PlanStepKind::RemoveMember);
        return ensure(takes_out.is_empty(), || {
            "a member that nobody knows goes".to_owned()
        });
    };
    let mut members = members.clone();
    let most = members.len().max(case.wanted.pools[0].count) + 1;
    for step in changes {
        let is_upgrade = graph.plan.class == PlanClass::Upgrade;
        ensure(!is_upgrade || members.len() <= most, || {
            format!("{} members of etcd", members.len())
        })?;
        let machine = step.machine.clone().unwrap_or_default();
        if step.kind == PlanStepKind::JoinControlPlane {
            members.retain(|member| member.machine.as_ref() != Some(&machine));
            members.push(crate::samples::voter(99, Some(&machine)));
            continue;
        }
        if step.kind == PlanStepKind::SaveEtcd {
            let is_only = matches!(members.as_slice(), [only] if only.subject() == machine && only.healthy);
            ensure(is_only && graph.restores_after(step), || step.text(1))?;
            continue;
        }
        let at = members.iter().position(|member| member.subject() == machine);
        let member = members.remove(at.ok_or_else(|| format!("{machine} is no member"))?);
        if !member.voting {
            continue;
        }
        let voting = |member: &&EtcdMember| member.voting;
        let healthy = members
            .iter()
            .filter(voting)
            .filter(|member| member.healthy)
            .count();
        let left = members.iter().filter(voting).count();
        let before = healthy + usize::from(member.healthy);
        ensure(before * 2 > left + 1 && healthy * 2 > left, || {
            format!("{}: {before} of {} answer", step.text(1), left + 1)
        })?;
    }
    for step in graph.of(PlanStepKind::RemoveMachine) {
        let machine = step.machine.as_deref().unwrap_or_default();
        let member = case.seen.members.iter().find(|member| member.name == machine);
        let leaves = member.is_none_or(|member| member.stage == Stage::Leaving);
        let mut known = voters(case).into_iter().flatten();
        let votes = known.any(|member| member.machine.as_deref() == Some(machine));
        ensure(
            leaves || !votes || graph.leaves_etcd_before(machine, step),
            || format!("{machine} goes, and is in etcd"),
        )?;
        let joins = member.is_some_and(|member| member.joining && member.failure.is_none());
        let control_plane = member.is_some_and(|member| member.role == MachineRole::ControlPlane);
        let exists = case.seen.founding == Founding::Done;
        ensure(!(exists && joins && control_plane && !votes), || {
            format!("{machine} goes while it joins")
        })?;
    }
    Ok(())
}

/// Of a cluster that exists and does not answer nothing goes but what is going already, and nothing is made; a member of
/// its control plane stays too while etcd does not say who its members are.
fn silence_takes_nothing_away(case: &Case, graph: &Graph<'_>) -> Holds {
    let seen = &case.seen;
    let exists = seen.founding == Founding::Done;
    let members = seen.members.iter();
    let known: BTreeSet<&str> = members.map(|member| member.name.as_str()).collect();
    for member in seen
        .members
        .iter()
        .filter(|member| member.stage != Stage::Leaving)
    {
        let goes = removed(graph).contains(member.name.as_str());
        let silent = seen.api != ApiState::Answers && (exists || member.stage == Stage::Joined);
        ensure(!(goes && silent), || format!("{} goes unseen", member.name))?;
        let votes = exists && member.role == MachineRole::ControlPlane && member.stage != Stage::Installing;
        ensure(!(goes && votes && voters(case).is_none()), || {
            format!("{} may vote", member.name)
        })?;
    }
    let made = graph.made();
    let new = made.keys().find(|machine| !known.contains(**machine));
    ensure(!exists || seen.api == ApiState::Answers || new.is_none(), || {
        format!("{new:?} is made unseen")
    })
}
