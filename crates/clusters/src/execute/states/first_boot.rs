//! A first boot that has failed: the machine is installed anew on its host, once; then it is given up at once, and the
//! planner answers. A machine whose node is in its cluster has nothing to fear from it, but for a member of the control plane
//! that got no vote; nor has a founder whose cluster has answered.

use resources::gantry::MachineRole;
use steps::Step;

use crate::execute::decision::{Decision, Effect, View, fail};
use crate::observe::{ApiSeen, EtcdSeen, is_subject};
use crate::plan::Founding;

/// How often a machine is installed on one host before its first boots that fail are answered with another machine.
const INSTALLATIONS: u64 = 2;

/// What follows from the first boot of a machine that has failed, while no node of it is seen; `None` when it has not.
pub(super) fn failed(view: View<'_>) -> Option<Decision> {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let provider = snapshot.provider_machines.get(machine)?;
    let failure = provider.status.as_ref()?.bootstrap_failure.as_ref()?;
    if snapshot.has_joined(machine) {
        return None;
    }
    let is_founder = snapshot.is_founder(machine);
    if is_founder && snapshot.founding() == Founding::Done {
        // What it has started answers, or has answered.
        return None;
    }
    if !is_founder && let ApiSeen::Silent(why) = &snapshot.api {
        return Some(view.wait(format!(
            "{machine}: {failure}; whether it has become a node is not known while the cluster's API does not answer ({why})"
        )));
    }
    let installation = provider.spec.installation;
    if provider.is_wanted_anew() {
        return Some(view.wait(format!(
            "{machine}: {failure}; it is to be installed anew on its host"
        )));
    }
    if installation >= INSTALLATIONS {
        return Some(fail(format!(
            "{failure} (installation {installation} on this host)"
        )));
    }
    if !is_founder
        && provider.spec.role == MachineRole::ControlPlane
        && let Some(decision) = of_member(view, &failure.to_string())
    {
        return Some(decision);
    }
    // Its token is not left behind: nothing would name it any more.
    if snapshot.bootstrap.contains_key(machine) {
        return Some(Step::Do(Effect::DropBootstrap(machine.to_owned())));
    }
    Some(Step::Do(Effect::InstallAnew {
        machine: machine.to_owned(),
        installation: installation.saturating_add(1),
    }))
}

/// What follows from the first boot of a control-plane machine that has failed, where its node is there and its member does not
/// vote: nobody is left who would make it a voter. A voter that is not healthy is another matter.
pub(super) fn without_vote(view: View<'_>, why: &str) -> Option<Decision> {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let failure = snapshot.provider_status(machine)?.bootstrap_failure.as_ref()?;
    let EtcdSeen::Members(etcd) = &snapshot.etcd else {
        return None;
    };
    let mut voters = etcd.voters();
    let votes = voters.any(|member| is_subject(snapshot, member, machine));
    (!votes).then(|| fail(format!("{failure}; {why}")))
}

/// A member of etcd without its data would be worse than none, so a machine that may be one is not installed anew: it is given
/// up, and its member is taken out before the machine goes.
fn of_member(view: View<'_>, failure: &str) -> Option<Decision> {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    match &snapshot.etcd {
        EtcdSeen::Members(etcd) => {
            let mut members = etcd.members.iter();
            let is_member = members.any(|member| is_subject(snapshot, member, machine));
            is_member.then(|| {
                fail(format!(
                    "{failure}; it is a member of etcd already, or half of one"
                ))
            })
        }
        EtcdSeen::Silent(why) => Some(view.wait(format!(
            "{machine}: {failure}; whether it is a member of etcd is not known ({why})"
        ))),
        EtcdSeen::NotAsked => Some(view.wait(format!(
            "{machine}: {failure}; etcd was not asked whether it is a member"
        ))),
    }
}
