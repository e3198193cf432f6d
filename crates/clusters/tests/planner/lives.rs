//! Clusters that live: whatever happens, no step costs the quorum, and when nothing happens any more each comes to what is
//! wanted or says what keeps it from that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use clusters::{GateState, Gates, Member, Progress, Verdict};
use resources::gantry::PlanPhase;

use crate::model::{Fate, World};
use crate::samples::{is_of, wanted};
use crate::tape::{Tape, for_tapes};

const LIVES: u32 = 2_000;
const RESTORES: u32 = 600;
const PAUSES: u32 = 300;
const GATES: u32 = 400;
/// Bytes of a tape.
const LENGTH: usize = 160;
/// Rounds in which something happens.
const EVENTFUL: usize = 14;
/// Rounds in which everything comes to rest: three machines one after the other may take their two hours each.
const CALM: usize = 120;
/// Minutes of a round when nothing happens any more.
const MINUTES: i64 = 10;

/// A cluster that was made, with so many members of its control plane and workers.
fn made(control_planes: usize, workers: usize) -> World {
    static MADE: OnceLock<BTreeMap<(usize, usize), World>> = OnceLock::new();
    let make = || {
        let sizes = [1, 3, 5]
            .into_iter()
            .flat_map(|members| (0..3).map(move |workers| (members, workers)));
        sizes
            .map(|(members, workers)| ((members, workers), make(members, workers)))
            .collect()
    };
    MADE.get_or_init(make)[&(control_planes, workers)].clone()
}

fn make(control_planes: usize, workers: usize) -> World {
    let mut world = World::new(wanted(control_planes, &[workers, 1]));
    for _ in 0..30 {
        world.round(1).unwrap();
    }
    assert_eq!(is_as_wanted(&world), Ok(()), "{world:#?}");
    world
}

fn some_world(tape: &mut Tape<'_>) -> World {
    let (members, workers) = (tape.of(&[3, 1, 5]), tape.below(3));
    match tape.chance(20) {
        true => World::new(wanted(members, &[workers, 1])),
        false => made(members, workers),
    }
}

#[test]
fn whatever_happens_each_cluster_comes_to_rest() {
    let counts = Mutex::new(BTreeMap::new());
    for_tapes(LIVES, LENGTH, |tape| {
        let world = live(tape)?;
        count(&mut counts.lock().unwrap(), &world);
        Ok(())
    });
    // The lives must not all be alike.
    let counts = counts.into_inner().unwrap();
    let enough = |what: &str| {
        counts
            .get(what)
            .is_some_and(|count| *count >= LIVES as usize / 20)
    };
    for what in [
        "make",
        "deliver",
        "mark",
        "remove",
        "remove member",
        "killed",
        "save",
        "renewed",
        "gate",
        "as wanted",
        "blocked",
    ] {
        assert!(enough(what), "{what}: {counts:#?}");
    }
}

fn add(count: &AtomicUsize, holds: bool) {
    count.fetch_add(usize::from(holds), Ordering::Relaxed);
}

/// Counts what happened in a life, and how it ended.
fn count(counts: &mut BTreeMap<&'static str, usize>, world: &World) {
    let mut has = |what: &'static str, holds: bool| *counts.entry(what).or_default() += usize::from(holds);
    let any = |begin: &str| world.log.iter().any(|line| line.starts_with(begin));
    has("make", any("  make "));
    has("deliver", any("  deliver "));
    has("mark", any("  mark "));
    has("remove", any("  remove demo-"));
    has("remove member", any("  remove member "));
    has("killed", any("  killed"));
    has("save", any("  saved "));
    has("renewed", any("  renewed "));
    has("gate", any("  gate "));
    let end = is_as_wanted(world).is_ok();
    has("as wanted", end);
    has("blocked", !end);
}

/// One life.
pub(crate) fn live(tape: &[u8]) -> Result<World, String> {
    let tape = &mut Tape::new(tape);
    let mut world = some_world(tape);
    for _ in 0..EVENTFUL {
        for _ in 0..tape.below(3) {
            world.event(tape);
        }
        world.approves = tape.chance(30);
        let minutes = 1 + 4 * i64::try_from(tape.below(3)).unwrap();
        world
            .round(minutes)
            .map_err(|what| format!("{what}\n{world:#?}"))?;
    }
    world.calm_down(tape.below(2));
    comes_to_rest(&mut world).map_err(|what| format!("{what}\n{world:#?}"))?;
    Ok(world)
}

/// Nothing happens any more.
fn comes_to_rest(world: &mut World) -> Result<(), String> {
    let mut rest = 0;
    for _ in 0..CALM {
        let before = (world.records.plans.len(), phase(world));
        world.round(MINUTES)?;
        let resting = is_at_rest(world) && before == (world.records.plans.len(), phase(world));
        rest = if resting { rest + 1 } else { 0 };
        if rest == 12 {
            return is_stated(world);
        }
    }
    Err("it does not come to rest".to_owned())
}

fn phase(world: &World) -> Option<PlanPhase> {
    world.records.plan().map(|plan| Progress::of(plan).phase())
}

fn now_said(world: &World) -> Verdict {
    world.verdict(world.next_number())
}

/// Whether etcd has lost its quorum, and nothing brings it back.
fn has_lost_quorum(world: &World) -> bool {
    !world.reality.has_quorum() && !world.records.is_saved()
}

/// Whether nothing moves: there is no plan under way, or each of its steps that can run waits for a cluster that has lost
/// its quorum.
fn is_at_rest(world: &World) -> bool {
    let under_way = world
        .records
        .plan()
        .filter(|plan| Progress::of(plan).is_under_way());
    let lost = has_lost_quorum(world);
    let verdict = now_said(world);
    let waits = under_way.is_some() && lost;
    (under_way.is_none() || waits) && verdict.look_again.is_none() && (verdict.plan.is_none() || waits)
}

/// It is as it is wanted, or something says what keeps it from that.
fn is_stated(world: &World) -> Result<(), String> {
    let verdict = now_said(world);
    let plan = world.records.plan();
    let under_way = plan.filter(|plan| Progress::of(plan).is_under_way());
    let reason = under_way.and_then(|plan| plan.status.as_ref()?.reason.clone());
    // That the API is silent says a condition.
    if !verdict.blocked.is_empty() || reason.is_some() || has_lost_quorum(world) {
        return Ok(());
    }
    is_as_wanted(world)
}

fn is_as_wanted(world: &World) -> Result<(), String> {
    let members = world.seen().members;
    for pool in &world.records.wanted.pools {
        let of_pool: Vec<_> = members.iter().filter(|member| is_of(member, pool)).collect();
        let healthy = of_pool
            .iter()
            .filter(|member| world.reality.is_healthy(&member.name))
            .count();
        if (of_pool.len(), healthy) != (pool.count, pool.count) {
            return Err(format!(
                "{}: {healthy} of {} are healthy, {} are wanted",
                pool.name,
                of_pool.len(),
                pool.count
            ));
        }
    }
    let (voters, healthy) = world.reality.voters();
    let wanted = world.records.wanted.pools[0].count;
    if (voters, healthy) != (wanted, wanted) {
        return Err(format!(
            "{healthy} of {voters} members of etcd are healthy, {wanted} are wanted"
        ));
    }
    let failed = phase(world) == Some(PlanPhase::Failed);
    if failed {
        Err("a plan has failed".to_owned())
    } else {
        Ok(())
    }
}

/// Rollouts that are paused and resumed at any moment: what works stays meanwhile, and they come to their end.
#[test]
fn a_paused_rollout_keeps_what_works() {
    let rolled = AtomicUsize::new(0);
    for_tapes(PAUSES, LENGTH, |tape| {
        let tape = &mut Tape::new(tape);
        let mut world = made(tape.of(&[3, 5]), tape.below(3));
        world.reality.spare = Some(tape.below(3));
        world.approves = true;
        for _ in 0..EVENTFUL {
            if tape.chance(15) {
                world.edit(tape, false);
            }
            if tape.chance(40) {
                world.pause(tape);
            }
            world.round(5).map_err(|what| format!("{what}\n{world:#?}"))?;
        }
        world.calm_down(1);
        comes_to_rest(&mut world).map_err(|what| format!("{what}\n{world:#?}"))?;
        let end = is_as_wanted(&world).map_err(|what| format!("{what}\n{world:#?}"));
        add(&rolled, world.log.iter().any(|line| line.starts_with("  mark ")));
        end
    });
    assert!(rolled.into_inner() >= PAUSES as usize / 4);
}

/// Rollouts with upgrade gates that fail, hang and are run once more, under a coordinator that is killed at any moment: nothing
/// that works goes before they have succeeded (the model sees to that), and what has failed is said.
#[test]
fn upgrade_gates_stop_a_rollout() {
    let (stopped, passed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_tapes(GATES, LENGTH, |tape| {
        let tape = &mut Tape::new(tape);
        let mut world = made(tape.of(&[3, 1, 5]), tape.below(3));
        world.reality.spare = Some(tape.below(3));
        world.approves = true;
        world.records.gates = Gates::Named;
        for _ in 0..EVENTFUL {
            if tape.chance(15) {
                world.edit(tape, false);
            }
            if tape.chance(20) {
                world.gates(tape);
            }
            if tape.chance(30) {
                world.writes_left = Some(tape.below(6));
            }
            world.records.gate_retries += usize::from(tape.chance(10));
            world.round(5).map_err(|what| format!("{what}\n{world:#?}"))?;
        }
        world.calm_down(1);
        let fails = tape.chance(30);
        if fails {
            world.gate_fate = Fate::Fails(1);
        }
        comes_to_rest(&mut world).map_err(|what| format!("{what}\n{world:#?}"))?;
        let any = |begin: &str| world.log.iter().any(|line| line.starts_with(begin));
        add(&passed, any("  passed "));
        if !is_stopped(&world) {
            return Ok(());
        }
        add(&stopped, true);
        // Once more, and well.
        world.calm_down(1);
        comes_to_rest(&mut world).map_err(|what| format!("{what}\n{world:#?}"))?;
        match is_stopped(&world) {
            true => Err(format!("it is stopped still\n{world:#?}")),
            false => Ok(()),
        }
    });
    let (stopped, passed) = (stopped.into_inner(), passed.into_inner());
    assert!(stopped >= GATES as usize / 40, "{stopped}");
    assert!(passed >= GATES as usize / 4, "{passed}");
}

/// Whether an upgrade gate has failed that is wanted.
fn is_stopped(world: &World) -> bool {
    let failed = |member: &Member| matches!(member.gate, GateState::Failed(_));
    world.records.gates != Gates::None && world.seen().members.iter().any(failed)
}

/// The appliance is restored from a backup that is older than the cluster: no healthy machine goes before a person has
/// approved a plan, and nothing is started a second time.
#[test]
fn a_restore_takes_nothing_away() {
    for_tapes(RESTORES, LENGTH, restore);
}

/// One life with a restore.
pub(crate) fn restore(tape: &[u8]) -> Result<(), String> {
    let tape = &mut Tape::new(tape);
    let mut world = some_world(tape);
    let mut backup = world.records.clone();
    let (backup_at, restored_at) = (tape.below(6), 6 + tape.below(6));
    world.approves = true;
    for at in 0..restored_at {
        if at == backup_at {
            backup = world.records.clone();
        }
        if tape.chance(60) {
            world.event(tape);
        }
        world.round(3).map_err(|what| format!("{what}\n{world:#?}"))?;
    }
    let known = backup.plans.keys().next_back().copied().unwrap_or(0);
    world.unapproved = world.reality.last_plan.unwrap_or(0) > known;
    world.restored = true;
    world.approves = false;
    world.held_pods = false;
    world.log.push("restored".to_owned());
    world.records = backup;
    // Of a cluster that is silent and of which the records say nothing nobody can know.
    let founder = world.records.founder.as_ref();
    let is_recorded = founder.is_some_and(|founder| founder.answered);
    // A backup of the minutes in which nobody serves the data of an only member says nothing of what came after.
    if world.records.is_saved() {
        return Ok(());
    }
    if !is_recorded && !world.reality.has_quorum() {
        return Ok(());
    }
    world.reality.silent = tape.chance(30) && is_recorded;
    for at in 0..12 {
        world.reality.silent &= at < 6;
        world.round(3).map_err(|what| format!("{what}\n{world:#?}"))?;
    }
    world.calm_down(1);
    comes_to_rest(&mut world).map_err(|what| format!("{what}\n{world:#?}"))
}
