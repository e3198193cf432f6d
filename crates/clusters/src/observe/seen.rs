//! A snapshot as the planner sees it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use etcd::{EtcdView, Health, Membership};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use resources::gantry::{MachineRole, ProviderMachinePhase, ProviderMachineStatus, StepState};
use resources::keys;

use super::addons::{addons_behind, older_unserved};
use super::node_view::NodeView;
use super::snapshot::{ApiSeen, EtcdSeen, Snapshot};
use crate::plan::{
    ApiState, EtcdMember, EtcdState, FreeHosts, HealthLimits, Member, NodeState, STARTUP, SavedData, Seen,
    Stage,
};

/// Condition of a Machine: its node is there and Ready. How long it was not is counted from it.
pub(crate) const NODE_HEALTHY: &str = "NodeHealthy";
/// Longest time between the creation of a Node, by the clock of its API, and, by its own clock, the first value of its condition Ready.
const REGISTRATION: SignedDuration = SignedDuration::from_secs(30);

/// Condition of a Machine of a control plane: it is a healthy voting member of etcd.
pub(crate) const ETCD_HEALTHY: &str = "EtcdMemberHealthy";
/// How long `kubeadm join` may go on after its token has ended; its own time limits are shorter together.
const JOIN: SignedDuration = SignedDuration::from_mins(20);
/// How long a driver may take to give a machine back, where it names no time itself.
const RETURN: SignedDuration = SignedDuration::from_mins(30);

/// What the planner looks at.
pub(crate) fn seen(snapshot: &Snapshot, now: Timestamp) -> Seen {
    // Without an answer the network is what it was: installed, once the cluster existed.
    let existed = snapshot.exists();
    let (api, network) = match &snapshot.api {
        ApiSeen::NotYet => (ApiState::NotYet, existed),
        ApiSeen::Silent(_) => (ApiState::Silent, existed),
        ApiSeen::Answers { system, .. } => {
            let installed = system.cni_applied || !brings_cni(snapshot);
            (ApiState::Answers, installed)
        }
    };
    let system = match &snapshot.api {
        ApiSeen::Answers { system, .. } => Some(system),
        _ => None,
    };
    Seen {
        founding: snapshot.founding(),
        founder: snapshot
            .founder()
            .map(|founder| founder.machine.clone())
            .filter(|machine| snapshot.is_founder(machine)),
        pki: snapshot.has_pki() && snapshot.has_parents(),
        network,
        finished: snapshot.has_kubeconfig(),
        members: snapshot
            .existing()
            .into_iter()
            .map(|name| member(snapshot, name, now))
            .collect(),
        api,
        etcd: etcd(snapshot),
        unknown_plan: snapshot.unknown_plan(),
        free: free(snapshot),
        adopting: adopting(snapshot),
        used: used(snapshot),
        saved: snapshot.saved().map(|saved| SavedData {
            machine: saved.machine.clone(),
            given_up: saved.given_up.iter().flatten().cloned().collect(),
            is_whole: saved.snapshot.is_some(),
            is_stopped: is_stopped(snapshot),
        }),
        joins_with: system.and_then(|system| system.joins_with.clone()),
        addons_behind: addons_behind(snapshot),
        older_unserved: older_unserved(snapshot),
        certificates: snapshot.certificate_state(now),
        gates: snapshot.gates(),
    }
}

/// Whether etcd answers and refuses to serve its data.
pub(crate) fn is_stopped(snapshot: &Snapshot) -> bool {
    matches!(&snapshot.etcd, EtcdSeen::Members(etcd) if etcd.is_frozen())
}

/// How many nodes are being adopted into each pool. One that its driver has refused is not.
fn adopting(snapshot: &Snapshot) -> BTreeMap<String, usize> {
    let mut pools = BTreeMap::new();
    for (_, provider) in snapshot.candidates() {
        let failed = provider
            .status
            .as_ref()
            .is_some_and(|status| status.phase == ProviderMachinePhase::Failed);
        if !failed && provider.metadata.deletion_timestamp.is_none() {
            *pools.entry(provider.spec.pool.clone()).or_default() += 1;
        }
    }
    pools
}

/// Free hosts by pool, as the provider's driver counts them. A status that speaks of an earlier spec tells nothing.
fn free(snapshot: &Snapshot) -> BTreeMap<String, FreeHosts> {
    let object = snapshot.provider_cluster.as_ref();
    let status = object.and_then(|object| object.current());
    let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let pools = status.into_iter().flat_map(|status| &status.pools);
    let hosts = pools.map(|pool| {
        let hosts = FreeHosts {
            count: number(pool.free),
            shared: number(pool.shared),
            with: pool.shared_with.iter().cloned().collect(),
        };
        (pool.name.clone(), hosts)
    });
    hosts.collect()
}

pub(crate) fn uses_flannel(snapshot: &Snapshot) -> bool {
    uses(snapshot, "flannel")
}

fn uses(snapshot: &Snapshot, cni: &str) -> bool {
    snapshot.wanted.as_ref().is_some_and(|wanted| wanted.cni == cni)
}

/// Whether the cluster gets its CNI from here.
pub(crate) fn brings_cni(snapshot: &Snapshot) -> bool {
    uses_flannel(snapshot) || uses(snapshot, "cilium")
}

fn member(snapshot: &Snapshot, name: &str, now: Timestamp) -> Member {
    let machine = snapshot.machines.get(name);
    let provider = snapshot.provider_machines.get(name);
    let spec = provider.map(|provider| &provider.spec);
    let status = provider.and_then(|provider| provider.status.as_ref());
    let deleted = |meta: &kube::core::ObjectMeta| meta.deletion_timestamp.is_some();
    let asked_to_go = machine.is_some_and(|machine| deleted(&machine.metadata));
    let joined = snapshot.has_joined(name);
    let leaving = match provider {
        Some(provider) => deleted(&provider.metadata),
        // It was given back, or its making was interrupted.
        None => asked_to_go || joined,
    };
    let stage = if leaving {
        Stage::Leaving
    } else if joined {
        Stage::Joined
    } else if status.is_some_and(|status| status.bootstrap_requested_at.is_some()) {
        Stage::Asks
    } else {
        Stage::Installing
    };
    let failed = status
        .filter(|status| status.phase == ProviderMachinePhase::Failed)
        .map(|status| {
            status
                .reason
                .clone()
                .unwrap_or_else(|| "its driver gave it up".to_owned())
        });
    let created = machine
        .and_then(|machine| machine.metadata.creation_timestamp.as_ref())
        .or_else(|| provider.and_then(|provider| provider.metadata.creation_timestamp.as_ref()));
    Member {
        name: name.to_owned(),
        pool: snapshot.pool_of(name).unwrap_or_default().to_owned(),
        role: snapshot.role(name),
        revision: spec.map(|spec| spec.revision.clone()).unwrap_or_default(),
        version: machine
            .and_then(|machine| machine.spec.version.clone())
            .unwrap_or_default(),
        stage,
        has_host: status.is_some_and(|status| status.host.is_some()),
        failure: spec.and_then(|spec| spec.given_up.clone()).or(failed),
        node: node(snapshot, name, joined, now),
        etcd_down: etcd_down(snapshot, name, now),
        joining: !joined && may_join(snapshot, name, now),
        overdue: provider
            .and_then(|provider| provider.metadata.deletion_timestamp.as_ref())
            .and_then(|asked| overdue(status, asked.0, now)),
        unwanted: asked_to_go && !leaving,
        adopted: spec.is_some_and(|spec| spec.adopts.is_some()),
        first_out: machine.is_some_and(|machine| machine.annotations().contains_key(keys::DELETE_MACHINE)),
        replacement: spec.map_or(0, |spec| spec.replacement),
        retry: spec.is_some_and(|spec| spec.retry.is_some()),
        gate: snapshot.gate_state(name, now),
        created: created.map_or(now, |time| time.0),
    }
}

fn node(snapshot: &Snapshot, name: &str, joined: bool, now: Timestamp) -> NodeState {
    if !joined || !matches!(snapshot.api, ApiSeen::Answers { .. }) {
        return NodeState::Unknown;
    }
    match snapshot.node(name) {
        Some(node) if node.ready => NodeState::Ready,
        Some(node) if is_starting(node, startup(snapshot, name), now) => NodeState::Unknown,
        Some(node) => NodeState::Down {
            since: node.since.unwrap_or(now),
        },
        // Since when it is absent only our own record of it says.
        None => NodeState::Down {
            since: unhealthy_since(snapshot, name).unwrap_or(now),
        },
    }
}

/// How long a machine's node may take to become Ready for the first time.
fn startup(snapshot: &Snapshot, name: &str) -> SignedDuration {
    let pool = snapshot
        .provider_machines
        .get(name)
        .map(|provider| &provider.spec.pool);
    let wanted = snapshot.wanted.as_ref();
    let health = wanted
        .zip(pool)
        .and_then(|(wanted, pool)| Some(&wanted.pool(pool)?.health));
    health.map_or(STARTUP, HealthLimits::startup)
}

/// Whether a node that is not Ready has never been, and still has time to become it: its network may not be there yet.
fn is_starting(node: &NodeView, startup: SignedDuration, now: Timestamp) -> bool {
    let (Some(created), Some(since)) = (node.created, node.since) else {
        return false;
    };
    let never_ready = since.duration_since(created).abs() <= REGISTRATION;
    never_ready && now.duration_since(created) < startup
}

fn unhealthy_since(snapshot: &Snapshot, name: &str) -> Option<Timestamp> {
    false_since(snapshot, name, NODE_HEALTHY)
}

/// Since when a condition of a Machine is False.
fn false_since(snapshot: &Snapshot, name: &str, condition: &str) -> Option<Timestamp> {
    let status = snapshot.machines.get(name)?.status.as_ref()?;
    let mut conditions = status.conditions.iter();
    let condition = conditions.find(|known| known.type_ == condition)?;
    (condition.status == "False").then_some(condition.last_transition_time.0)
}

/// Whether a machine of the control plane is a healthy voting member of etcd; `None` while nobody knows.
pub(crate) fn votes(snapshot: &Snapshot, name: &str) -> Option<bool> {
    let view = confirmed(snapshot)?;
    if snapshot.role(name) != MachineRole::ControlPlane || !snapshot.has_joined(name) {
        return None;
    }
    let mut members = view.members.iter();
    let member = members.find(|member| machine_of(snapshot, member).as_deref() == Some(name));
    Some(member.is_some_and(|member| !member.learner && member.health == Health::Healthy))
}

/// Since when a machine does not vote that should. Only our own record says since when.
fn etcd_down(snapshot: &Snapshot, name: &str, now: Timestamp) -> Option<Timestamp> {
    let is_down = votes(snapshot, name) == Some(false) && !may_join(snapshot, name, now);
    is_down
        .then(|| false_since(snapshot, name, ETCD_HEALTHY))
        .flatten()
}

/// Whether `kubeadm join` may be at work on a machine.
fn may_join(snapshot: &Snapshot, name: &str, now: Timestamp) -> bool {
    if snapshot.first_boot_ended(name) || !snapshot.was_given_data(name) {
        return false;
    }
    let seen = snapshot.bootstrap.get(name);
    let from = seen.and_then(|seen| seen.expires).or(snapshot.requested_at(name));
    from.is_some_and(|from| now < steps::later(from, JOIN))
}

/// What the driver of a machine says that it was asked to give back too long ago.
fn overdue(status: Option<&ProviderMachineStatus>, asked: Timestamp, now: Timestamp) -> Option<String> {
    let own = status.and_then(|status| status.deadline.as_ref());
    let from = own.map_or(asked, |end| end.0.max(asked));
    let reason = status.and_then(|status| status.reason.clone());
    (steps::later(from, RETURN) <= now).then(|| reason.unwrap_or_else(|| "it does not say why".to_owned()))
}

/// The members of etcd, where a quorum says who they are.
fn confirmed(snapshot: &Snapshot) -> Option<&EtcdView> {
    let EtcdSeen::Members(view) = &snapshot.etcd else {
        return None;
    };
    matches!(view.membership, Membership::Confirmed).then_some(view)
}

fn etcd(snapshot: &Snapshot) -> EtcdState {
    let Some(view) = confirmed(snapshot) else {
        return EtcdState::Unknown;
    };
    let members = view.members.iter().map(|member| EtcdMember {
        id: member.id.0,
        name: member.name.clone(),
        machine: machine_of(snapshot, member),
        voting: !member.learner,
        healthy: member.health == Health::Healthy,
    });
    EtcdState::Members(members.collect())
}

/// The addresses by which other members of etcd reach this one.
fn hosts(member: &etcd::MemberView) -> Vec<String> {
    let host = |url: &String| {
        let rest = url.split_once("://")?.1;
        rest.rsplit_once(':').map(|(host, _)| host.to_owned())
    };
    member.peer_urls.iter().filter_map(host).collect()
}

/// Whether a member of etcd has this address; `None` while no quorum says who the members are.
pub(crate) fn runs_etcd(snapshot: &Snapshot, address: &str) -> Option<bool> {
    let mut members = confirmed(snapshot)?.members.iter();
    Some(members.any(|member| hosts(member).iter().any(|host| host == address)))
}

/// The machine that a member of etcd runs on: by its address, because a member that has not started has no name.
fn machine_of(snapshot: &Snapshot, member: &etcd::MemberView) -> Option<String> {
    let hosts = hosts(member);
    let runs_it = |name: &&String| {
        let adopted = snapshot.provider_machines.get(*name);
        let adopted = adopted.and_then(|provider| provider.spec.adopts.as_ref());
        let address = snapshot.address(name, "InternalIP");
        let address = address.or_else(|| adopted.map(|node| node.address.as_str()));
        address.is_some_and(|address| hosts.iter().any(|host| host == address))
    };
    // A machine that was given nothing to join with runs none: the member is of an earlier machine at its address.
    let may_run = |name: &&String| {
        snapshot.has_joined(name) || snapshot.was_given_data(name) || snapshot.is_candidate(name)
    };
    let mut machines = snapshot.provider_machines.keys().filter(may_run);
    machines.find(runs_it).cloned()
}

/// Whether a member of etcd is the one that a step names: by its machine, else its name, else its id.
pub(crate) fn is_subject(snapshot: &Snapshot, member: &etcd::MemberView, subject: &str) -> bool {
    match machine_of(snapshot, member) {
        Some(machine) => machine == subject,
        None if member.name.is_empty() => member.id.to_string() == subject,
        None => member.name == subject,
    }
}

/// Machines of the plan that counts whose step is over: their names are not given again.
fn used(snapshot: &Snapshot) -> BTreeSet<String> {
    let Some(plan) = snapshot.plan() else {
        return BTreeSet::new();
    };
    let rows = plan.status.iter().flat_map(|status| &status.steps);
    let over = rows.filter(|row| matches!(row.state, StepState::Done | StepState::Failed));
    let over: HashSet<&str> = over.map(|row| row.id.as_str()).collect();
    let steps = plan
        .spec
        .steps
        .iter()
        .filter(|step| step.pool.is_some() && over.contains(step.id.as_str()));
    steps.filter_map(|step| step.machine.clone()).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn a_machine_is_overdue_half_an_hour_after_its_driver_should_be_done() {
        let asked: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let at = |minutes: i64| asked + SignedDuration::from_mins(minutes);
        let status = |deadline: Option<i64>| ProviderMachineStatus {
            reason: Some("the BMC does not answer".to_owned()),
            deadline: deadline.map(|minutes| Time(at(minutes))),
            ..ProviderMachineStatus::default()
        };
        // The driver's own deadline, and when it is asked; whether the machine is overdue then.
        let cases = [
            (None, 29, false),
            (None, 30, true),
            (Some(-60), 30, true),
            (Some(60), 89, false),
            (Some(60), 90, true),
        ];
        for (deadline, minutes, overdue_then) in cases {
            let why = overdue(Some(&status(deadline)), asked, at(minutes));
            let wanted = overdue_then.then(|| "the BMC does not answer".to_owned());
            assert_eq!(why, wanted, "{deadline:?} {minutes}");
        }
        assert_eq!(
            overdue(None, asked, at(30)).as_deref(),
            Some("it does not say why")
        );
    }
}
