//! Writes of Cluster API's kinds that stand above the machines of a cluster.

use kube::ResourceExt;
use resources::anywhere::{Cluster, WorkerNodeGroup};
use resources::cluster_api::{Machine, MachineDeployment};
use resources::keys;

use crate::bundle::autoscaling;
use crate::violation::{Report, Violation};

/// What is refused of a change of a MachineDeployment beside these Clusters: a number of machines that its group is not to
/// have. With `autoscalingConfiguration` everybody may choose one within its bounds, else it follows from `count`.
#[must_use]
pub fn admit_machine_deployment(
    old: &MachineDeployment,
    new: &MachineDeployment,
    clusters: &[Cluster],
) -> Vec<Violation> {
    let mut report = Report::new("MachineDeployment", &new.name_any());
    let name = &new.spec.cluster_name;
    let group = old.labels().get(keys::NODE_GROUP);
    let cluster = clusters
        .iter()
        .find(|cluster| cluster.name_any() == *name && cluster.metadata.deletion_timestamp.is_none());
    let mut groups = cluster.into_iter().flat_map(worker_groups);
    let found = groups.find(|(_, known, _)| group.is_some_and(|group| group == known));
    let Some((at, _, group)) = found.filter(|_| old.spec.replicas != new.spec.replicas) else {
        return report.found;
    };
    let path = format!("spec.workerNodeGroupConfigurations[{at}]");
    let asked = new.spec.replicas;
    let shown = asked.map_or_else(|| "no number".to_owned(), |asked| asked.to_string());
    match autoscaling(group) {
        Some(bounds) if asked.is_some_and(|asked| bounds.contains(&asked)) => {}
        Some(bounds) => report.add(
            "spec.replicas",
            format!(
                "{shown} is outside {} to {} of {path}.autoscalingConfiguration of Cluster {name}",
                bounds.start(),
                bounds.end()
            ),
            format!("write a number between the two, or change the bounds in Cluster {name}"),
        ),
        None if asked == Some(group.count.unwrap_or(1)) => {}
        None => report.add(
            "spec.replicas",
            format!("it follows from {path}.count of Cluster {name} of anywhere.eks.amazonaws.com"),
            format!("write that field, or give the group an autoscalingConfiguration in Cluster {name}"),
        ),
    }
    report.found
}

/// What is refused of a new MachineDeployment, MachineSet or MachinePool with this label of a worker group, beside these
/// Clusters: one that belongs to none of their groups, because no machine would ever follow from it.
#[must_use]
pub fn admit_new_worker_group(
    kind: &'static str,
    name: &str,
    cluster: &str,
    group: Option<&str>,
    clusters: &[Cluster],
) -> Vec<Violation> {
    let mut report = Report::new(kind, name);
    let of_cluster = clusters.iter().find(|known| known.name_any() == cluster);
    let mut groups = of_cluster.into_iter().flat_map(worker_groups);
    let is_known = |(_, known, _): (usize, &str, _)| Some(known) == group;
    if kind == "MachinePool" || !groups.any(is_known) {
        report.add(
            "metadata.name",
            "no machine follows from it",
            "add a group to spec.workerNodeGroupConfigurations of a Cluster of anywhere.eks.amazonaws.com; what stands for it \
             here is made then",
        );
    }
    report.found
}

/// Worker groups with their places and names.
fn worker_groups(cluster: &Cluster) -> impl Iterator<Item = (usize, &str, &WorkerNodeGroup)> {
    let groups = cluster.spec.worker_node_group_configurations.iter().enumerate();
    groups.map(|(at, group)| {
        // The first group has a name although none is written.
        let name = group.name.as_deref().or((at == 0).then_some("md-0"));
        (at, name.unwrap_or_default(), group)
    })
}

/// What is refused of a deletion of a MachineDeployment or MachineSet beside these Machines: those below it would be
/// replaced, one and all.
#[must_use]
pub fn admit_worker_group_deletion(kind: &'static str, name: &str, machines: &[Machine]) -> Vec<Violation> {
    let label = match kind {
        "MachineSet" => keys::SET_NAME,
        _ => keys::DEPLOYMENT_NAME,
    };
    let mut report = Report::new(kind, name);
    let is_below = |machine: &&Machine| {
        let stays = machine.metadata.deletion_timestamp.is_none();
        stays && machine.labels().get(label).is_some_and(|of| of == name)
    };
    if let Some(machine) = machines.iter().find(is_below) {
        let cluster = &machine.spec.cluster_name;
        report.add(
            "metadata.name",
            format!("Machine {} and others belong to it", machine.name_any()),
            format!(
                "lower the count of the worker group in Cluster {cluster} of anywhere.eks.amazonaws.com, or remove the group \
                 there"
            ),
        );
    }
    report.found
}

/// What is refused of a deletion of Cluster API's Cluster beside these Clusters of EKS Anywhere: its worker groups would go
/// with it.
#[must_use]
pub fn admit_capi_cluster_deletion(name: &str, clusters: &[Cluster]) -> Vec<Violation> {
    let mut report = Report::new("Cluster", name);
    let mut clusters = clusters.iter();
    if clusters.any(|cluster| cluster.name_any() == name && cluster.metadata.deletion_timestamp.is_none()) {
        report.add(
            "metadata.name",
            format!("it stands for Cluster {name} of anywhere.eks.amazonaws.com, which is there"),
            format!("delete the cluster: gantry delete cluster {name}"),
        );
    }
    report.found
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;
    use resources::cluster_api::{MachineDeploymentSpec, MachineSpec};
    use serde_json::json;

    use super::*;

    fn cluster(bounds: Option<(i32, i32)>, count: Option<i32>) -> Cluster {
        let mut cluster = Cluster::new("shed", Default::default());
        cluster.spec.worker_node_group_configurations = vec![WorkerNodeGroup {
            count,
            autoscaling_configuration: bounds.map(|(min, max)| json!({ "minCount": min, "maxCount": max })),
            ..WorkerNodeGroup::default()
        }];
        cluster
    }

    fn deployment(group: &str, replicas: Option<i32>) -> MachineDeployment {
        let spec = MachineDeploymentSpec {
            cluster_name: "shed".to_owned(),
            replicas,
            ..MachineDeploymentSpec::default()
        };
        let mut deployment = MachineDeployment::new("shed-md-0", spec);
        let label = (keys::NODE_GROUP.to_owned(), group.to_owned());
        deployment.metadata.labels = Some([label].into());
        deployment
    }

    #[test]
    fn a_number_of_machines_is_what_the_cluster_leaves_open() {
        for (bounds, count, group, new, allowed) in [
            (Some((1, 3)), None, "md-0", Some(3), true),
            (Some((1, 3)), Some(1), "md-0", Some(4), false),
            (Some((1, 3)), Some(1), "md-0", Some(0), false),
            (Some((1, 3)), Some(1), "md-0", None, false),
            (Some((0, 3)), Some(1), "md-0", Some(0), true),
            (None, Some(2), "md-0", Some(2), true),
            (None, None, "md-0", Some(1), true),
            (None, Some(2), "md-0", Some(3), false),
            (None, Some(2), "md-9", Some(0), true),
        ] {
            let cluster = cluster(bounds, count);
            let (old, new) = (deployment(group, Some(7)), deployment(group, new));
            let found = admit_machine_deployment(&old, &new, std::slice::from_ref(&cluster));
            assert_eq!(found.is_empty(), allowed, "{bounds:?} {count:?} {found:?}");
            for violation in found {
                let owner = format!("{violation}");
                assert!(
                    violation.path == "spec.replicas"
                        && owner.contains("spec.workerNodeGroupConfigurations[0]"),
                    "{owner}"
                );
            }
            assert!(
                admit_machine_deployment(&new, &new, &[cluster]).is_empty(),
                "nothing changes"
            );
        }
    }

    #[test]
    fn a_group_that_no_cluster_has_is_not_made_by_hand() {
        let known = [cluster(None, None)];
        for (kind, of, group, allowed) in [
            ("MachineDeployment", "shed", Some("md-0"), true),
            ("MachineSet", "shed", Some("md-0"), true),
            ("MachineDeployment", "shed", Some("md-1"), false),
            ("MachineDeployment", "shed", None, false),
            ("MachineDeployment", "hall", Some("md-0"), false),
            ("MachinePool", "shed", Some("md-0"), false),
        ] {
            let found = admit_new_worker_group(kind, "shed-md-0", of, group, &known);
            assert_eq!(found.is_empty(), allowed, "{kind} {of} {group:?}");
        }
    }

    #[test]
    fn what_machines_stand_below_stays() {
        let machine = |labels: &[(&str, &str)], leaves: bool| {
            let labels = labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut machine = Machine::new("m", MachineSpec::default());
            machine.metadata = ObjectMeta {
                labels: Some(labels.collect()),
                deletion_timestamp: leaves.then_some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                    jiff::Timestamp::UNIX_EPOCH,
                )),
                ..ObjectMeta::default()
            };
            machine
        };
        let labels = [
            (keys::DEPLOYMENT_NAME, "shed-md-0"),
            (keys::SET_NAME, "shed-md-0-a"),
        ];
        for (kind, name, leaves, refused) in [
            ("MachineDeployment", "shed-md-0", false, true),
            ("MachineDeployment", "shed-md-0", true, false),
            ("MachineDeployment", "shed-md-1", false, false),
            ("MachineSet", "shed-md-0-a", false, true),
            ("MachineSet", "shed-md-0-b", false, false),
        ] {
            let found = admit_worker_group_deletion(kind, name, &[machine(&labels, leaves)]);
            assert_eq!(!found.is_empty(), refused, "{kind} {name}");
        }
        let known = [cluster(None, None)];
        assert!(!admit_capi_cluster_deletion("shed", &known).is_empty());
        assert!(admit_capi_cluster_deletion("hall", &known).is_empty());
    }
}
