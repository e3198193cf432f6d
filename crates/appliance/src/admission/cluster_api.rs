//! Writes of Cluster API's kinds, which the coordinator makes and others may scale.

use apiserver::{AdmissionRequest, AdmissionVerb};
use cluster_spec::Violation;
use resources::anywhere::Cluster;
use resources::cluster_api::{Machine, MachineDeployment};
use resources::keys;
use serde::Deserialize;
use serde_json::Value;

use super::stored::{CLUSTERS, stored};

const MACHINES: &str = "machines.cluster.x-k8s.io";

/// What is refused of a write.
pub(super) fn cluster_api(request: &AdmissionRequest<'_>, object: &Value) -> Vec<Violation> {
    let clusters = || -> Vec<Cluster> { stored(request, CLUSTERS) };
    let above_machines = ["MachineDeployment", "MachineSet", "MachinePool"];
    let kind = above_machines.into_iter().find(|kind| *kind == request.kind);
    match (request.verb, kind) {
        (AdmissionVerb::Delete, None) if request.kind == "Cluster" => {
            cluster_spec::admit_capi_cluster_deletion(request.name, &clusters())
        }
        (AdmissionVerb::Delete, Some(kind)) => {
            let machines: Vec<Machine> = stored(request, MACHINES);
            cluster_spec::admit_worker_group_deletion(kind, request.name, &machines)
        }
        (AdmissionVerb::Create, Some(kind)) => {
            let cluster = object["spec"]["clusterName"].as_str().unwrap_or_default();
            let group = object["metadata"]["labels"][keys::NODE_GROUP].as_str();
            cluster_spec::admit_new_worker_group(kind, request.name, cluster, group, &clusters())
        }
        (AdmissionVerb::Update, Some("MachineDeployment")) => {
            let old = request
                .old
                .and_then(|old| MachineDeployment::deserialize(old).ok());
            let new = MachineDeployment::deserialize(object).ok();
            old.zip(new).map_or_else(Vec::new, |(old, new)| {
                cluster_spec::admit_machine_deployment(&old, &new, &clusters())
            })
        }
        _ => Vec::new(),
    }
}
