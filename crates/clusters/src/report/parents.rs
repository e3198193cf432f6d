//! Status of Cluster API's Cluster and of the ControlPlane.

use etcd::Health;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use resources::cluster_api::{ClusterInitialization, ClusterPhase, ClusterStatus as CapiStatus};
use resources::conditions::{Fact, Holds, conditions};
use resources::gantry::{ControlPlaneStatus, MachineRole};

use super::nodes::nodes;
use crate::observe::{EtcdSeen, Snapshot};

fn members(snapshot: &Snapshot) -> Vec<&String> {
    let existing = snapshot.existing().into_iter();
    existing
        .filter(|name| snapshot.role(name) == MachineRole::ControlPlane)
        .collect()
}

pub(super) fn capi(snapshot: &Snapshot, before: &[Condition], deleting: bool, now: Timestamp) -> CapiStatus {
    let initialized = snapshot.exists();
    let phase = match (deleting, initialized) {
        (true, _) => ClusterPhase::Deleting,
        (false, true) => ClusterPhase::Provisioned,
        (false, false) => ClusterPhase::Provisioning,
    };
    let object = snapshot.provider_cluster.as_ref();
    let status = object.and_then(|object| object.status.as_ref());
    let provisioned = status.and_then(|status| status.initialization);
    CapiStatus {
        conditions: conditions(before, &facts(snapshot, deleting), None, now),
        phase: Some(phase),
        initialization: Some(ClusterInitialization {
            infrastructure_provisioned: Some(provisioned.is_some_and(|made| made.provisioned)),
            control_plane_initialized: Some(initialized),
        }),
        ..CapiStatus::default()
    }
}

/// What Cluster API's clients go by. `Available` holds when infrastructure, control plane and workers are.
fn facts(snapshot: &Snapshot, deleting: bool) -> Vec<Fact> {
    let initialized = snapshot.exists();
    let mut parts = vec![
        infrastructure(snapshot),
        available("ControlPlaneAvailable", snapshot, MachineRole::ControlPlane),
        available("WorkersAvailable", snapshot, MachineRole::Worker),
    ];
    let lacking = parts.iter().find(|(_, holds, _, _)| *holds != Holds::True);
    let all = match lacking {
        _ if deleting => (
            "Available",
            Holds::False,
            "Deleting",
            "it is being deleted".to_owned(),
        ),
        Some((kind, holds, _, message)) => {
            ("Available", *holds, "NotAvailable", format!("{kind}: {message}"))
        }
        None => (
            "Available",
            Holds::True,
            "Available",
            "the cluster is available".to_owned(),
        ),
    };
    parts.push((
        "ControlPlaneInitialized",
        initialized.into(),
        if initialized {
            "Initialized"
        } else {
            "NotInitialized"
        },
        if initialized {
            "the API has answered".to_owned()
        } else {
            "the API has not answered yet".to_owned()
        },
    ));
    parts.insert(0, all);
    parts
}

fn available(kind: &'static str, snapshot: &Snapshot, role: MachineRole) -> Fact {
    let (holds, message) = nodes(snapshot, role);
    let reason = match holds {
        Holds::True => "Available",
        Holds::False => "NotAvailable",
        Holds::Unknown => "ApiSilent",
    };
    (kind, holds, reason, message)
}

/// What the provider says, where it speaks of the present spec.
fn infrastructure(snapshot: &Snapshot) -> Fact {
    let kind = "InfrastructureReady";
    let object = snapshot.provider_cluster.as_ref();
    let ready = object.and_then(|object| object.current()?.ready());
    match ready.map(|ready| (ready.status.as_str(), ready.message.clone())) {
        Some(("True", message)) => (kind, Holds::True, "Ready", message),
        Some(("False", message)) => (kind, Holds::False, "NotReady", message),
        other => {
            let message = other.map(|(_, message)| message);
            let message = message.unwrap_or_else(|| "its driver has not answered yet".to_owned());
            (kind, Holds::Unknown, "NoAnswer", message)
        }
    }
}

pub(super) fn control_plane(snapshot: &Snapshot, before: &[Condition], now: Timestamp) -> ControlPlaneStatus {
    let members = members(snapshot);
    let is_ready = |name: &&&String| snapshot.own_node(name).is_some_and(|node| node.ready);
    let ready = members.iter().filter(is_ready).count();
    let is_available = |name: &&&String| is_ready(name) && !snapshot.is_going(name);
    let wanted = snapshot.wanted.as_ref();
    let is_up_to_date = |name: &&&String| {
        let pool = wanted.and_then(|wanted| wanted.pool(snapshot.pool_of(name)?));
        let provider = snapshot.provider_machines.get(**name);
        pool.zip(provider)
            .is_some_and(|(pool, provider)| pool.revision == provider.spec.revision)
    };
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    ControlPlaneStatus {
        replicas: number(members.len()),
        ready_replicas: number(ready),
        available_replicas: number(members.iter().filter(is_available).count()),
        up_to_date_replicas: number(members.iter().filter(is_up_to_date).count()),
        initialized: snapshot.exists(),
        adoptions: snapshot.adoption_waits().collect(),
        conditions: conditions(before, &of_control_plane(snapshot), None, now),
    }
}

fn of_control_plane(snapshot: &Snapshot) -> Vec<Fact> {
    let mut facts = vec![available("Available", snapshot, MachineRole::ControlPlane)];
    facts.extend(etcd(snapshot));
    facts
}

fn etcd(snapshot: &Snapshot) -> Option<Fact> {
    let kind = "EtcdHealthy";
    let fact = match &snapshot.etcd {
        EtcdSeen::NotAsked => return None,
        EtcdSeen::Silent(why) => (kind, Holds::Unknown, "NoAnswer", why.clone()),
        EtcdSeen::Members(view) => {
            let voters = view.voters().count();
            let healthy = view
                .voters()
                .filter(|voter| voter.health == Health::Healthy)
                .count();
            let text = format!("{healthy} of {voters} voting members are healthy");
            match view.faults() {
                faults if faults.is_empty() => (kind, Holds::True, "Healthy", text),
                faults => (kind, Holds::False, "Unhealthy", format!("{text}: {faults}")),
            }
        }
    };
    Some(fact)
}
