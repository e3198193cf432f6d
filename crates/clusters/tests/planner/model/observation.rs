//! What the coordinator observes: records and reality together, as `observe` reads them from objects, API and etcd.

use std::collections::{BTreeMap, BTreeSet};

use clusters::{
    ApiState, EtcdMember, EtcdState, Founding, FreeHosts, Member, NodeState, Pool, SavedData, Seen, Stage,
};
use jiff::{SignedDuration, Timestamp};
use resources::gantry::{MachineRole, StepState};

use super::World;
use super::reality::Voter;
use super::records::Machine;

/// Minutes for which a join may go on, and for which a driver may give a machine back.
const JOIN: i64 = 30;
const RETURN: i64 = 30;

fn is_over(since: Timestamp, minutes: i64, now: Timestamp) -> bool {
    since + SignedDuration::from_mins(minutes) <= now
}

impl World {
    pub(crate) fn answers(&self) -> bool {
        self.records.may_answer() && self.reality.answers()
    }

    pub(crate) fn founding(&self) -> Founding {
        let joined = self.records.machines.values().any(|machine| machine.joined);
        let starts_anew = self.records.is_saved();
        match &self.records.founder {
            _ if self.answers() || joined && !starts_anew => Founding::Done,
            Some(founder) if starts_anew && !founder.restores => Founding::NotYet,
            Some(founder) if founder.answered => Founding::Done,
            Some(_) if self.records.living_founder().is_some() => Founding::UnderWay,
            _ => Founding::NotYet,
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        let exists = self.founding() == Founding::Done || self.records.saved.is_some();
        let answers = self.answers();
        let machines = self.records.machines.iter();
        Seen {
            founding: self.founding(),
            founder: self.records.living_founder().cloned(),
            pki: self.records.pki,
            network: if answers { self.reality.cni } else { exists },
            finished: self.records.kubeconfig,
            members: machines
                .map(|(name, machine)| self.member(name, machine))
                .collect(),
            api: match self.records.may_answer() {
                false => ApiState::NotYet,
                true if answers => ApiState::Answers,
                true => ApiState::Silent,
            },
            etcd: match answers || self.is_stopped() {
                true => EtcdState::Members(self.etcd()),
                false => EtcdState::Unknown,
            },
            saved: self.records.saved.as_ref().map(|saved| SavedData {
                machine: saved.machine.clone(),
                given_up: BTreeSet::new(),
                is_whole: saved.last_write.is_some(),
                is_stopped: self.is_stopped(),
            }),
            unknown_plan: self.unknown_plan(),
            free: self.free(),
            adopting: BTreeMap::new(),
            used: self.used(),
            joins_with: self.reality.joins_with.clone().filter(|_| answers),
            addons_behind: answers && self.addons_behind(),
            older_unserved: match answers {
                true => self.older_unserved(),
                false => !exists && self.older_version().is_some(),
            },
            certificates: self.certificates(),
            gates: self.records.gates.clone(),
        }
    }

    /// Whether etcd answers and refuses everything.
    pub(crate) fn is_stopped(&self) -> bool {
        self.records.may_answer() && self.reality.has_quorum() && self.reality.stopped
    }

    /// The version of the worker groups that are behind.
    pub(crate) fn older_version(&self) -> Option<String> {
        let wanted = &self.records.wanted;
        let mut pools = wanted.pools.iter().filter(|pool| pool.version != wanted.version);
        pools.next().map(|pool| pool.version.clone())
    }

    /// Versions whose nodes have DaemonSets of their own, or are to have them.
    pub(crate) fn own_sets(&self) -> BTreeSet<String> {
        let machines = self.records.machines.values();
        let there: BTreeSet<String> = machines.map(|machine| machine.version.clone()).collect();
        let known = self.reality.of_versions.intersection(&there);
        known.cloned().chain(self.older_version()).collect()
    }

    pub(crate) fn stale_sets(&self) -> BTreeSet<String> {
        self.reality
            .of_versions
            .difference(&self.own_sets())
            .cloned()
            .collect()
    }

    /// Whether machines have another version of Kubernetes than is wanted, and no DaemonSets of their own.
    pub(crate) fn is_mixed(&self) -> bool {
        let (version, own) = (&self.records.wanted.version, self.own_sets());
        self.records
            .machines
            .values()
            .any(|machine| machine.version != *version && !own.contains(&machine.version))
    }

    pub(crate) fn is_upgrading(&self) -> bool {
        let version = &self.records.wanted.version;
        let mut machines = self.records.machines.values();
        let is_old =
            |machine: &Machine| machine.role == MachineRole::ControlPlane && machine.version != *version;
        self.is_mixed() || machines.any(is_old)
    }

    /// Whether nodes of the worker groups that are behind would have no pods.
    pub(crate) fn older_unserved(&self) -> bool {
        let reality = &self.reality;
        self.older_version()
            .is_some_and(|older| match reality.left_out.contains(&older) {
                true => !reality.of_versions.contains(&older),
                false => reality.pods_version != older,
            })
    }

    pub(crate) fn addons_behind(&self) -> bool {
        let version = self.reality.addons_version.as_ref();
        version.is_some_and(|version| *version != self.records.wanted.version)
            || self.reality.held && !self.is_mixed()
            || self.older_unserved()
            || !self.stale_sets().is_empty()
    }

    /// The hosts that are free for every pool, where the driver says so.
    fn free(&self) -> BTreeMap<String, FreeHosts> {
        let Some(spare) = self.reality.spare else {
            return BTreeMap::new();
        };
        let hosts = |pool: &Pool| {
            let with = self.records.wanted.pools.iter();
            let with = with
                .filter(|other| other.name != pool.name)
                .map(|other| other.name.clone());
            let hosts = FreeHosts {
                count: spare,
                shared: spare,
                with: with.collect(),
            };
            (pool.name.clone(), hosts)
        };
        self.records.wanted.pools.iter().map(hosts).collect()
    }

    fn etcd(&self) -> Vec<EtcdMember> {
        let members = self.reality.etcd.iter();
        let member = |(id, voter): (&u64, &Voter)| EtcdMember {
            id: *id,
            name: format!("node-{}", voter.machine),
            machine: self.machine_of(voter),
            voting: voter.voting,
            healthy: voter.alive && !self.reality.stopped,
        };
        members.map(member).collect()
    }

    /// The machine that a member of etcd runs on, where that is known.
    fn machine_of(&self, voter: &Voter) -> Option<String> {
        let machine = self.records.machines.get(&voter.machine)?;
        let runs_it = machine.provider.is_some() && (machine.joined || machine.given.is_some());
        runs_it.then(|| voter.machine.clone())
    }

    /// The member of etcd that a step names.
    pub(crate) fn member_called(&self, subject: &str) -> Option<u64> {
        let mut members = self.etcd().into_iter();
        members
            .find(|member| member.subject() == subject)
            .map(|member| member.id)
    }

    fn member(&self, name: &str, machine: &Machine) -> Member {
        let provider = machine.provider.as_ref();
        let leaving = provider.map_or(machine.marked || machine.joined, |one| one.deleted.is_some());
        let asks = provider.is_some_and(|one| one.asks);
        let stage = match (leaving, machine.joined, asks) {
            (true, _, _) => Stage::Leaving,
            (_, true, _) => Stage::Joined,
            (_, _, true) => Stage::Asks,
            _ => Stage::Installing,
        };
        let failed = provider.is_some_and(|one| one.failed || one.given_up);
        let overdue = provider.and_then(|one| one.deleted);
        let overdue = overdue.is_some_and(|asked| is_over(asked, RETURN, self.now));
        Member {
            name: name.to_owned(),
            pool: machine.pool.clone(),
            role: machine.role,
            revision: machine.revision.clone(),
            version: machine.version.clone(),
            stage,
            has_host: true,
            failure: failed.then(|| "it does not get installed".to_owned()),
            node: self.node(name, machine),
            etcd_down: self.etcd_down(name, machine),
            joining: !machine.joined && self.may_join(machine),
            overdue: overdue.then(|| "its power does not go off".to_owned()),
            unwanted: machine.marked && !leaving,
            adopted: false,
            first_out: machine.first_out,
            replacement: machine.replacement,
            retry: provider.is_some_and(|one| one.retry),
            gate: self.gate_state(name, machine),
            created: machine.created,
        }
    }

    fn node(&self, name: &str, machine: &Machine) -> NodeState {
        if !machine.joined || !self.answers() {
            return NodeState::Unknown;
        }
        match self.reality.nodes.get(name) {
            Some(node) if node.ready => NodeState::Ready,
            Some(node) => NodeState::Down { since: node.since },
            None => NodeState::Down {
                since: machine.node_down.unwrap_or(self.now),
            },
        }
    }

    fn may_join(&self, machine: &Machine) -> bool {
        let done = machine.provider.as_ref().is_some_and(|one| one.done);
        !done && machine.given.is_some_and(|given| !is_over(given, JOIN, self.now))
    }

    /// Whether a machine of the control plane votes, where that is known.
    fn votes(&self, name: &str, machine: &Machine) -> Option<bool> {
        if machine.role != MachineRole::ControlPlane || !machine.joined || !self.answers() {
            return None;
        }
        let mut voters = self.reality.etcd.values();
        Some(voters.any(|voter| voter.machine == name && voter.voting && voter.alive))
    }

    fn etcd_down(&self, name: &str, machine: &Machine) -> Option<Timestamp> {
        let is_down = self.votes(name, machine) == Some(false) && !self.may_join(machine);
        machine.etcd_down.filter(|_| is_down)
    }

    /// Notes since when nodes and members of etcd are down, as the conditions of the Machines do.
    pub(crate) fn note_health(&mut self) {
        if !self.answers() {
            return;
        }
        let names: Vec<String> = self.records.machines.keys().cloned().collect();
        for name in names {
            let machine = &self.records.machines[&name];
            let absent = matches!(self.node(&name, machine), NodeState::Down { .. });
            let silent = self.votes(&name, machine) == Some(false);
            let now = self.now;
            let note = |known: Option<Timestamp>, down: bool| down.then(|| known.unwrap_or(now));
            let (node, etcd) = (note(machine.node_down, absent), note(machine.etcd_down, silent));
            let machine = self.records.machines.get_mut(&name).unwrap();
            (machine.node_down, machine.etcd_down) = (node, etcd);
        }
    }

    /// The number of a plan that has changed the cluster and is not known.
    pub(crate) fn unknown_plan(&self) -> Option<u32> {
        let plans = self.records.plans.values();
        let counts = plans.filter(|plan| {
            plan.spec.unknown_plan.is_none() || self.records.approvals.contains(&plan.spec.digest())
        });
        let newest = counts.map(|plan| plan.spec.number).max();
        let inside = self.reality.last_plan.filter(|_| self.answers());
        inside.filter(|last| *last > newest.unwrap_or(0))
    }

    pub(crate) fn next_number(&self) -> u32 {
        let known = self.records.plans.keys().next_back().copied().unwrap_or(0);
        let inside = self.reality.last_plan.filter(|_| self.answers()).unwrap_or(0);
        known.max(self.records.last_plan).max(inside) + 1
    }

    /// Machines of the plan that counts whose step is over.
    fn used(&self) -> BTreeSet<String> {
        let Some(plan) = self.records.plan() else {
            return BTreeSet::new();
        };
        let rows = plan.status.iter().flat_map(|status| &status.steps);
        let over: BTreeSet<&str> = rows
            .filter(|row| matches!(row.state, StepState::Done | StepState::Failed))
            .map(|row| row.id.as_str())
            .collect();
        let steps = plan.spec.steps.iter();
        let steps = steps.filter(|step| step.pool.is_some() && over.contains(step.id.as_str()));
        steps.filter_map(|step| step.machine.clone()).collect()
    }
}
