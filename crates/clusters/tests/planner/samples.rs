//! Wanted clusters and machines as the cases need them.

use std::collections::{BTreeMap, BTreeSet};

use clusters::{
    ApiState, CertificateState, EtcdMember, EtcdState, Founding, FreeHosts, GateState, Gates, HealthLimits,
    Identity, Member, NodeState, Policy, Pool, RolloutLimits, Seen, Stage, Verdict, Wanted, plan,
};
use jiff::{SignedDuration, Timestamp};
use node_config::AddressHolder;
use resources::gantry::MachineRole;

pub(crate) const CLUSTER: &str = "demo";
pub(crate) const CONTROL_PLANE: &str = "cp";
pub(crate) const VERSION: &str = "v1.35.4";
/// Seconds for which a node may be down.
pub(crate) const UNREADY: i64 = 300;

pub(crate) fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// So many minutes before now.
pub(crate) fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

pub(crate) fn pool(name: &str, role: MachineRole, count: usize) -> Pool {
    Pool {
        name: name.to_owned(),
        role,
        count,
        revision: "0123456789ab".to_owned(),
        version: VERSION.to_owned(),
        selector: Vec::new(),
        plugin: None,
        failure_domain: None,
        image_url: "file:///srv/image.raw.zst".to_owned(),
        os_family: "debian".to_owned(),
        template_ref: None,
        users: Vec::new(),
        labels: BTreeMap::new(),
        taints: None,
        kubelet: None,
        time_servers: Vec::new(),
        cert_bundles: Vec::new(),
        health: HealthLimits {
            unready_seconds: UNREADY,
            most: count.max(1),
            startup_minutes: None,
        },
        rollout: RolloutLimits::default(),
    }
}

/// A cluster with so many members of its control plane and workers in `md-0`, `md-1` and so on.
pub(crate) fn wanted(control_planes: usize, workers: &[usize]) -> Wanted {
    let mut pools = vec![pool(CONTROL_PLANE, MachineRole::ControlPlane, control_planes)];
    let workers = workers.iter().enumerate();
    pools.extend(workers.map(|(at, count)| pool(&format!("md-{at}"), MachineRole::Worker, *count)));
    Wanted {
        name: CLUSTER.to_owned(),
        namespace: "eksa-system".to_owned(),
        provider: "metal".to_owned(),
        endpoint: "192.0.2.10".to_owned(),
        address_holder: AddressHolder::Keepalived { router_id: 10 },
        version: VERSION.to_owned(),
        pod_cidr: "10.244.0.0/16".to_owned(),
        service_cidr: "10.96.0.0/12".to_owned(),
        node_mask: 24,
        resolv_conf: None,
        cert_sans: Vec::new(),
        api_server_extra_args: BTreeMap::new(),
        audit_policy: None,
        appliance: "192.0.2.5".to_owned(),
        proxy: None,
        registry_mirror: None,
        cni: "flannel".to_owned(),
        cilium: None,
        paused: None,
        pools,
    }
}

/// A machine that has joined and whose node is Ready.
pub(crate) fn member(name: &str, pool: &Pool) -> Member {
    Member {
        name: name.to_owned(),
        pool: pool.name.clone(),
        role: pool.role,
        revision: pool.revision.clone(),
        version: pool.version.clone(),
        stage: Stage::Joined,
        has_host: true,
        failure: None,
        node: NodeState::Ready,
        etcd_down: None,
        joining: false,
        overdue: None,
        unwanted: false,
        adopted: false,
        first_out: false,
        replacement: 0,
        retry: false,
        gate: GateState::NotNeeded,
        created: ago(600),
    }
}

/// So many free hosts that no other pool counts.
pub(crate) fn free(count: usize) -> FreeHosts {
    FreeHosts {
        count,
        ..FreeHosts::default()
    }
}

/// A healthy voter.
pub(crate) fn voter(id: u64, machine: Option<&str>) -> EtcdMember {
    EtcdMember {
        id,
        name: machine.map_or_else(|| format!("stray-{id}"), |name| format!("node-{name}")),
        machine: machine.map(str::to_owned),
        voting: true,
        healthy: true,
    }
}

/// The observation of a cluster that is as it is wanted: machines `cp-0`, `md-0-0` and so on.
pub(crate) fn as_wanted(wanted: &Wanted) -> Seen {
    let machines = |pool: &Pool| -> Vec<Member> {
        let numbers = 0..pool.count;
        numbers
            .map(|at| member(&format!("{}-{at}", pool.name), pool))
            .collect()
    };
    let members: Vec<Member> = wanted.pools.iter().flat_map(machines).collect();
    let control_plane = members
        .iter()
        .filter(|member| member.role == MachineRole::ControlPlane);
    let voters = control_plane
        .zip(1..)
        .map(|(member, id)| voter(id, Some(&member.name)));
    Seen {
        founding: Founding::Done,
        founder: Some("cp-0".to_owned()),
        pki: true,
        network: true,
        finished: true,
        etcd: EtcdState::Members(voters.collect()),
        members,
        api: ApiState::Answers,
        unknown_plan: None,
        free: BTreeMap::new(),
        adopting: BTreeMap::new(),
        used: BTreeSet::new(),
        joins_with: None,
        addons_behind: false,
        older_unserved: false,
        saved: None,
        certificates: CertificateState::default(),
        gates: Gates::None,
    }
}

/// Names of the pools' machines that count for a pool.
pub(crate) fn is_of(member: &Member, pool: &Pool) -> bool {
    member.role == pool.role && (pool.role == MachineRole::ControlPlane || member.pool == pool.name)
}

/// The planner's answer.
pub(crate) fn answer(wanted: &Wanted, seen: &Seen) -> Verdict {
    answer_at(wanted, seen, 7, now())
}

pub(crate) fn answer_at(wanted: &Wanted, seen: &Seen, number: u32, now: Timestamp) -> Verdict {
    let identity = Identity {
        cluster_uid: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        number,
    };
    plan(wanted, seen, Policy::default(), identity, now)
}
