//! Admission of clusters' documents in the embedded API: the rules of `cluster-spec` on every write, whoever makes it.

mod cluster_api;
mod management;
mod namespaces;
mod stored;
#[cfg(test)]
mod tests;

use apiserver::{AdmissionRequest, AdmissionVerb, Admit, Cause, Refusal};
use cluster_spec::{Document, ManagementCluster, Violation};
use resources::anywhere::Cluster;
use resources::gantry::{ControlPlane, Release};
use serde::Deserialize;
use serde_json::Value;

use cluster_api::cluster_api;
use namespaces::namespaces;
use stored::{CLUSTERS, parsed, stored};

const DOCUMENTS: &str = "anywhere.eks.amazonaws.com";
const CLUSTER_API: &str = "cluster.x-k8s.io";
const CONTROL_PLANES: &str = "controlplanes.gantry.dev";
const RELEASES: &str = "releases.gantry.dev";

/// What the API of the appliance asks of every write.
pub(crate) const HOOKS: [Admit; 2] = [clusters, namespaces];

/// Refuses what would harm a cluster, or would be accepted and not carried out, by the names of the fields. Warns of what
/// is written and has no effect.
///
/// # Errors
/// Every refused field.
fn clusters(request: &AdmissionRequest<'_>, object: &mut Value) -> Result<Vec<String>, Refusal> {
    if request.subresource == "status" {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    let found = match (request.group, request.kind, request.verb) {
        ("gantry.dev", "ControlPlane", AdmissionVerb::Delete) => {
            let clusters: Vec<Cluster> = stored(request, CLUSTERS);
            cluster_spec::admit_control_plane_deletion(request.name, &clusters)
        }
        ("gantry.dev", "ControlPlane", AdmissionVerb::Update) => {
            let old = request.old.and_then(|old| ControlPlane::deserialize(old).ok());
            let new = ControlPlane::deserialize(&*object).ok();
            old.zip(new).map_or_else(Vec::new, |(old, new)| {
                cluster_spec::admit_control_plane(&old, &new)
            })
        }
        (CLUSTER_API, _, _) => cluster_api(request, object),
        (DOCUMENTS, "Cluster", AdmissionVerb::Delete) => management::deleted(request),
        (DOCUMENTS, kind, AdmissionVerb::Create | AdmissionVerb::Update) => {
            let Some(new) = Document::read(kind, object) else {
                return Ok(Vec::new());
            };
            let old = request.old.and_then(|old| Document::read(kind, old));
            warnings.extend(new.remarks().iter().map(Violation::to_string));
            let control_planes: Vec<ControlPlane> = stored(request, CONTROL_PLANES);
            let releases = request.objects.list(RELEASES, "");
            let releases: Vec<Release> = parsed(releases);
            let mut found = cluster_spec::admit(old.as_ref(), &new, &control_planes, &releases);
            if found.is_empty() && kind == "Cluster" {
                match management::written(request, object) {
                    ManagementCluster::Found => {}
                    ManagementCluster::Missing(waits) => warnings.push(waits.to_string()),
                    ManagementCluster::Wrong(wrong) => found.push(wrong),
                }
            }
            found
        }
        _ => Vec::new(),
    };
    if found.is_empty() {
        return Ok(warnings);
    }
    Err(Refusal::Invalid(found.iter().map(cause).collect()))
}

fn cause(violation: &Violation) -> Cause {
    let text = format!("{}; {}", violation.message, violation.next_step);
    Cause::forbidden(&violation.path, &text)
}
