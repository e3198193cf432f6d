//! A snapshot as the planner sees it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use etcd::{Health, Membership};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use resources::gantry::{ProviderMachinePhase, StepState};
use resources::keys;

use super::snapshot::{ApiSeen, EtcdSeen, Snapshot};
use super::workload::NodeView;
use crate::plan::{
    ApiState, EtcdMember, EtcdState, Founding, FreeHosts, HealthLimits, Member, NodeState, STARTUP, Seen,
    Stage,
};

/// Condition of a Machine: its node is there and Ready. How long it was not is counted from it.
pub(crate) const NODE_HEALTHY: &str = "NodeHealthy";
/// Longest time between the creation of a Node, by the clock of its API, and, by its own clock, the first value of its condition Ready.
const REGISTRATION: SignedDuration = SignedDuration::from_secs(30);

/// What the planner looks at.
pub(crate) fn seen(snapshot: &Snapshot, now: Timestamp) -> Seen {
    // Without an answer the network is what it was: installed, once the cluster existed.
    let existed = snapshot.founding() == Founding::Done;
    let (api, network) = match &snapshot.api {
        ApiSeen::NotYet => (ApiState::NotYet, existed),
        ApiSeen::Silent(_) => (ApiState::Silent, existed),
        ApiSeen::Answers { system, .. } => {
            let installed = system.cni_applied || !uses_flannel(snapshot);
            (ApiState::Answers, installed)
        }
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
        ahead: snapshot.is_ahead(),
        free: free(snapshot),
        used: used(snapshot),
    }
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
    snapshot
        .wanted
        .as_ref()
        .is_some_and(|wanted| wanted.cni == "flannel")
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
    let pool = spec.map(|spec| spec.pool.clone()).filter(|pool| !pool.is_empty());
    let label = || {
        let machine = machine?;
        let group = machine.labels().get(keys::NODE_GROUP).cloned();
        let control_plane = machine.labels().contains_key(keys::CONTROL_PLANE);
        group.or_else(|| control_plane.then(|| cluster_spec::CONTROL_PLANE_GROUP.to_owned()))
    };
    Member {
        name: name.to_owned(),
        pool: pool.or_else(label).unwrap_or_default(),
        role: snapshot.role(name),
        stage,
        has_host: status.is_some_and(|status| status.host.is_some()),
        failure: spec.and_then(|spec| spec.given_up.clone()).or(failed),
        node: node(snapshot, name, joined, now),
        unwanted: asked_to_go && !leaving,
        first_out: machine.is_some_and(|machine| machine.annotations().contains_key(keys::DELETE_MACHINE)),
        replacement: spec.map_or(0, |spec| spec.replacement),
        retry: spec.is_some_and(|spec| spec.retry.is_some()),
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
    let status = snapshot.machines.get(name)?.status.as_ref()?;
    let condition = status
        .conditions
        .iter()
        .find(|known| known.type_ == NODE_HEALTHY)?;
    (condition.status == "False").then_some(condition.last_transition_time.0)
}

fn etcd(snapshot: &Snapshot) -> EtcdState {
    let EtcdSeen::Members(view) = &snapshot.etcd else {
        return EtcdState::Unknown;
    };
    if !matches!(view.membership, Membership::Confirmed) {
        return EtcdState::Unknown;
    }
    let members = view.members.iter().map(|member| EtcdMember {
        id: member.id.0,
        name: member.name.clone(),
        machine: machine_of(snapshot, member),
        voting: !member.learner,
        healthy: member.health == Health::Healthy,
    });
    EtcdState::Members(members.collect())
}

/// The machine that a member of etcd runs on: by its address, because a member that has not started has no name.
fn machine_of(snapshot: &Snapshot, member: &etcd::MemberView) -> Option<String> {
    let host = |url: &String| {
        let rest = url.split_once("://")?.1;
        rest.rsplit_once(':').map(|(host, _)| host.to_owned())
    };
    let hosts: Vec<String> = member.peer_urls.iter().filter_map(host).collect();
    let runs_it = |name: &&String| {
        let address = snapshot.address(name, "InternalIP");
        address.is_some_and(|address| hosts.iter().any(|host| host == address))
    };
    // A machine that was given nothing to join with runs none: the member is of an earlier machine at its address.
    let may_run = |name: &&String| snapshot.has_joined(name) || snapshot.was_given_data(name);
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
