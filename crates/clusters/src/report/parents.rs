//! Status of Cluster API's Cluster and of the ControlPlane.

use etcd::Health;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use resources::cluster_api::{ClusterInitialization, ClusterPhase, ClusterStatus as CapiStatus};
use resources::conditions::{Fact, Holds, conditions};
use resources::gantry::{ControlPlaneStatus, MachineRole};

use crate::observe::{EtcdSeen, Snapshot};
use crate::plan::Founding;

fn members(snapshot: &Snapshot) -> Vec<&String> {
    let existing = snapshot.existing().into_iter();
    existing
        .filter(|name| snapshot.role(name) == MachineRole::ControlPlane)
        .collect()
}

pub(super) fn capi(snapshot: &Snapshot, before: &[Condition], deleting: bool, now: Timestamp) -> CapiStatus {
    let initialized = snapshot.founding() == Founding::Done;
    let phase = match (deleting, initialized) {
        (true, _) => ClusterPhase::Deleting,
        (false, true) => ClusterPhase::Provisioned,
        (false, false) => ClusterPhase::Provisioning,
    };
    let object = snapshot.provider_cluster.as_ref();
    let status = object.and_then(|object| object.status.as_ref());
    let provisioned = status.and_then(|status| status.initialization);
    CapiStatus {
        conditions: conditions(before, &infrastructure(snapshot), None, now),
        phase: Some(phase),
        initialization: Some(ClusterInitialization {
            infrastructure_provisioned: Some(provisioned.is_some_and(|made| made.provisioned)),
            control_plane_initialized: Some(initialized),
        }),
        ..CapiStatus::default()
    }
}

/// What the provider says, where it speaks of the present spec.
fn infrastructure(snapshot: &Snapshot) -> Vec<Fact> {
    let kind = "InfrastructureReady";
    let object = snapshot.provider_cluster.as_ref();
    let ready = object.and_then(|object| object.current()?.ready());
    vec![
        match ready.map(|ready| (ready.status.as_str(), ready.message.clone())) {
            Some(("True", message)) => (kind, Holds::True, "Ready", message),
            Some(("False", message)) => (kind, Holds::False, "NotReady", message),
            other => {
                let message = other.map(|(_, message)| message);
                let message = message.unwrap_or_else(|| "its driver has not answered yet".to_owned());
                (kind, Holds::Unknown, "NoAnswer", message)
            }
        },
    ]
}

pub(super) fn control_plane(snapshot: &Snapshot, before: &[Condition], now: Timestamp) -> ControlPlaneStatus {
    let members = members(snapshot);
    let is_ready = |name: &&&String| snapshot.own_node(name).is_some_and(|node| node.ready);
    let ready = members.iter().filter(is_ready).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    ControlPlaneStatus {
        replicas: number(members.len()),
        ready_replicas: number(ready),
        initialized: snapshot.founding() == Founding::Done,
        conditions: conditions(before, &etcd(snapshot), None, now),
    }
}

fn etcd(snapshot: &Snapshot) -> Vec<Fact> {
    let kind = "EtcdHealthy";
    let fact = match &snapshot.etcd {
        EtcdSeen::NotAsked => return Vec::new(),
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
    vec![fact]
}
