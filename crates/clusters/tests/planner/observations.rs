//! Random clusters as they may be observed.

use clusters::{
    ApiState, EtcdMember, EtcdState, Founding, GateState, Gates, Member, NodeState, Seen, Stage, Wanted,
};
use resources::gantry::MachineRole;

use crate::samples::{CONTROL_PLANE, ago, as_wanted, free, member, pool, voter, wanted};
use crate::tape::Tape;

/// What is wanted and what was observed.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) wanted: Wanted,
    pub(crate) seen: Seen,
}

impl Case {
    pub(crate) fn new(tape: &[u8]) -> Self {
        let mut tape = Tape::new(tape);
        let mut wanted = some_wanted(&mut tape);
        let seen = match tape.below(10) {
            0 => upgrading(&mut tape, &wanted),
            1..=6 => existing(&mut tape, &wanted),
            _ => begun(&mut tape, &wanted),
        };
        for pool in &mut wanted.pools {
            let differs = tape.chance(25);
            if differs && pool.role == MachineRole::Worker {
                pool.count = tape.below(6);
            } else if differs {
                pool.count = tape.of(&[1, 3, 5]);
            }
            pool.rollout.surge = tape.of(&[1, 1, 2, 0]);
            pool.rollout.unavailable = tape.of(&[None, None, Some(1), Some(0)]);
            pool.health.most = if tape.chance(20) {
                tape.below(3)
            } else {
                pool.count.max(1)
            };
        }
        let paused = || "the rollout is paused by alice".to_owned();
        wanted.paused = tape.chance(15).then(paused);
        let mut seen = seen;
        gates(&mut tape, &mut seen);
        Self { wanted, seen }
    }
}

/// Upgrade gates, and how far they are.
fn gates(tape: &mut Tape<'_>, seen: &mut Seen) {
    seen.gates = match tape.below(10) {
        0..=5 => Gates::None,
        6 => Gates::Unusable("upgrade gate shop/check is not in the cluster".to_owned()),
        _ => Gates::Named,
    };
    for known in &mut seen.members {
        known.gate = match tape.below(12) {
            0 => GateState::Pending,
            1 => GateState::Failed("too often".to_owned()),
            _ => GateState::NotNeeded,
        };
    }
}

fn some_wanted(tape: &mut Tape<'_>) -> Wanted {
    let control_planes = tape.of(&[1, 3, 3, 5]);
    let pools = tape.below(3);
    let workers: Vec<usize> = (0..pools).map(|_| tape.below(5)).collect();
    let mut wanted = wanted(control_planes, &workers);
    for pool in wanted.pools.iter_mut().skip(1).filter(|_| tape.chance(15)) {
        OLDER.clone_into(&mut pool.version);
    }
    wanted
}

/// The version before [`crate::samples::VERSION`].
const OLDER: &str = "v1.34.9";

/// Whether a worker group is behind the control plane.
fn is_behind(wanted: &Wanted) -> bool {
    wanted.pools.iter().any(|pool| pool.version != wanted.version)
}

/// A cluster that exists, with all that may have happened to it.
fn existing(tape: &mut Tape<'_>, wanted: &Wanted) -> Seen {
    let mut seen = as_wanted(wanted);
    seen.api = tape.of(&[
        ApiState::Answers,
        ApiState::Answers,
        ApiState::Answers,
        ApiState::Silent,
    ]);
    seen.network = !tape.chance(10);
    seen.finished = !tape.chance(10);
    seen.joins_with = tape.chance(30).then(|| wanted.pools[0].revision.clone());
    seen.older_unserved = seen.api == ApiState::Answers && is_behind(wanted) && tape.chance(30);
    seen.addons_behind = seen.older_unserved || seen.api == ApiState::Answers && tape.chance(10);
    let ahead = seen.api == ApiState::Answers && tape.chance(15);
    seen.unknown_plan = ahead.then_some(9);
    for pool in &wanted.pools {
        let (gone, more) = (tape.chance(15), tape.chance(15));
        if gone && let Some(at) = seen.members.iter().position(|known| known.pool == pool.name) {
            seen.members.remove(at);
        }
        if more {
            seen.members.push(member(&format!("{}-x", pool.name), pool));
        }
        if tape.chance(20) {
            seen.free.insert(pool.name.clone(), free(tape.below(3)));
        }
    }
    if tape.chance(10) {
        seen.members
            .push(member("old-0", &pool("old", MachineRole::Worker, 1)));
    }
    for known in &mut seen.members {
        happens(tape, known, seen.api);
    }
    seen.founder = match tape.below(4) {
        0 | 1 => seen
            .founder
            .filter(|name| seen.members.iter().any(|known| known.name == *name)),
        2 => None,
        _ => seen.members.first().map(|known| known.name.clone()),
    };
    seen.etcd = etcd(tape, &mut seen.members, seen.api);
    seen
}

/// A cluster that is healthy, with machines of another revision.
fn upgrading(tape: &mut Tape<'_>, wanted: &Wanted) -> Seen {
    let mut seen = as_wanted(wanted);
    let version = tape.chance(50);
    for known in seen.members.iter_mut().filter(|_| tape.chance(70)) {
        known.revision = "fedcba987654".to_owned();
        if version {
            known.version = OLDER.to_owned();
        }
    }
    seen.joins_with = tape.chance(30).then(|| wanted.pools[0].revision.clone());
    seen.older_unserved = is_behind(wanted) && tape.chance(30);
    seen.addons_behind = seen.older_unserved;
    for pool in &wanted.pools {
        seen.free.insert(pool.name.clone(), free(tape.below(3)));
    }
    seen
}

/// What may have happened to a machine of a cluster that exists.
fn happens(tape: &mut Tape<'_>, member: &mut Member, api: ApiState) {
    member.created = ago(i64::try_from(600 + tape.below(3)).unwrap());
    member.stage = match tape.below(20) {
        0..=13 => Stage::Joined,
        14 | 15 => Stage::Installing,
        16 | 17 => Stage::Asks,
        _ => Stage::Leaving,
    };
    let joined = member.stage == Stage::Joined;
    member.has_host = member.stage != Stage::Installing || tape.chance(50);
    member.joining = member.stage == Stage::Asks && tape.chance(50);
    let overdue = member.stage == Stage::Leaving && tape.chance(30);
    member.overdue = overdue.then(|| "the power is still on".to_owned());
    member.failure = tape
        .chance(12)
        .then(|| "the disk does not take the data".to_owned());
    member.node = match (joined && api == ApiState::Answers, tape.below(8)) {
        (false, _) => NodeState::Unknown,
        (true, 0..=5) => NodeState::Ready,
        (true, _) => NodeState::Down {
            since: ago(i64::try_from(tape.below(12)).unwrap()),
        },
    };
    member.unwanted = member.stage != Stage::Leaving && tape.chance(8);
    member.first_out = tape.chance(8);
    member.adopted = tape.chance(8);
    member.replacement = u32::try_from(tape.below(4)).unwrap();
    member.retry = member.failure.is_some() && tape.chance(20);
    if tape.chance(20) {
        member.revision = "fedcba987654".to_owned();
        if tape.chance(50) {
            member.version = OLDER.to_owned();
        }
    }
    if tape.chance(4) {
        member.pool.clear();
    }
}

/// Members of etcd on the machines, and strangers.
fn etcd(tape: &mut Tape<'_>, members: &mut [Member], api: ApiState) -> EtcdState {
    let silent = tape.chance(if api == ApiState::Answers { 10 } else { 60 });
    let mut etcd: Vec<EtcdMember> = Vec::new();
    let control_plane = members
        .iter_mut()
        .filter(|member| member.role == MachineRole::ControlPlane);
    for (machine, id) in control_plane.zip(10..) {
        let is_in = match machine.stage {
            Stage::Joined => !tape.chance(6),
            Stage::Asks => machine.joining && tape.chance(30),
            Stage::Leaving => tape.chance(15),
            Stage::Installing => false,
        };
        let healthy = match machine.node {
            NodeState::Down { .. } => tape.chance(20),
            _ => !tape.chance(12),
        };
        let voting = !tape.chance(6);
        if machine.stage == Stage::Joined && !(is_in && healthy && voting) && !silent {
            machine.etcd_down = Some(ago(i64::try_from(tape.below(12)).unwrap()));
        }
        if is_in {
            let known = voter(id, Some(&machine.name));
            etcd.push(EtcdMember {
                voting,
                healthy,
                ..known
            });
        }
    }
    for id in 30..30 + tape.below(3) as u64 {
        let unnamed = tape.chance(30);
        let mut stray = voter(id, None);
        if unnamed {
            stray.name.clear();
        }
        etcd.push(EtcdMember {
            healthy: tape.chance(40),
            voting: !tape.chance(20),
            ..stray
        });
    }
    match silent {
        true => EtcdState::Unknown,
        false => EtcdState::Members(etcd),
    }
}

/// A cluster that does not exist yet.
fn begun(tape: &mut Tape<'_>, wanted: &Wanted) -> Seen {
    let mut seen = Seen::nothing();
    seen.older_unserved = is_behind(wanted);
    seen.pki = tape.chance(60);
    let doomed = tape.chance(25);
    for pool in &wanted.pools {
        let count = if doomed {
            pool.count
        } else {
            tape.below(pool.count + 2)
        };
        for at in 0..count {
            let mut known = member(&format!("{}-{at}", pool.name), pool);
            happens(tape, &mut known, ApiState::NotYet);
            if known.stage == Stage::Joined {
                known.stage = Stage::Asks;
            }
            seen.members.push(known);
        }
    }
    if doomed {
        for known in seen
            .members
            .iter_mut()
            .filter(|known| known.role == MachineRole::ControlPlane)
        {
            known.failure = Some("the disk does not take the data".to_owned());
            (known.replacement, known.retry, known.unwanted) = (2, false, false);
            known.stage = known.stage.min(Stage::Asks);
            known.overdue = None;
        }
    }
    let mut members = seen
        .members
        .iter()
        .filter(|known| known.role == MachineRole::ControlPlane);
    let founder = members.find(|known| known.stage != Stage::Installing && known.pool == CONTROL_PLANE);
    if let Some(founder) = founder.filter(|_| tape.chance(50)) {
        seen.founder = Some(founder.name.clone());
        seen.founding = Founding::UnderWay;
        seen.api = ApiState::Silent;
    }
    seen
}
