//! Worker groups: names, counts, autoscaling, taints, versions.

use std::collections::BTreeMap;

use resources::anywhere::WorkerNodeGroup;
use serde_json::Value;

use crate::bundle::ClusterBundle;
use crate::management::named;
use crate::rules::labels::check_labels;
use crate::rules::taints::check_taints;
use crate::version::version;
use crate::violation::Report;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let groups = &bundle.cluster.spec.worker_node_group_configurations;
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        let path = format!("spec.workerNodeGroupConfigurations[{at}]");
        let name = group.name.as_deref().unwrap_or("");
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() {
            report.add(
                format!("{path}.name"),
                "the worker group has no name",
                "give it one, such as md-1",
            );
        } else if !name.bytes().all(inner) || name.starts_with('-') || name.ends_with('-') || name.len() > 63
        {
            report.add(
                format!("{path}.name"),
                format!("{name:?} is not a group name"),
                "use at most 63 letters, digits and '-', with a letter or digit at both ends",
            );
        } else if name.eq_ignore_ascii_case("cp") {
            report.add(
                format!("{path}.name"),
                "cp is the control plane's own group",
                "choose another name",
            );
        }
        // Their objects are named in lower case.
        if let Some(first) = names.insert(name.to_ascii_lowercase(), at) {
            report.add(
                format!("{path}.name"),
                format!("worker group {first} has the same name"),
                "give each group its own",
            );
        }
        counts(group, &path, report);
        check_labels(&group.labels, &format!("{path}.labels"), report);
        check_taints(&group.taints, &format!("{path}.taints"), report);
        own_version(&bundle.cluster.spec.kubernetes_version, group, &path, report);
    }
    let own = named(&bundle.cluster).is_none();
    let tainted = |group: &WorkerNodeGroup| {
        group
            .taints
            .iter()
            .any(|taint| ["NoSchedule", "NoExecute"].contains(&taint.effect.as_str()))
    };
    if own && !groups.is_empty() && groups.iter().all(tainted) {
        report.add(
            "spec.workerNodeGroupConfigurations",
            "at least one worker group must have no NoExecute and no NoSchedule taint",
            "remove the taints of one group",
        );
    }
}

/// A kubelet must not be newer than the API servers. It could be three minor versions older; every step of an upgrade then had to
/// keep to that for each group, so it is one.
fn own_version(of_cluster: &str, group: &WorkerNodeGroup, path: &str, report: &mut Report) {
    let (Some(own), Some((major, minor))) = (&group.kubernetes_version, version(of_cluster)) else {
        return;
    };
    let before = (major, minor.saturating_sub(1));
    let message = match version(own) {
        None => format!("{own:?} is not a Kubernetes minor version"),
        Some(known) if known > (major, minor) => {
            format!(
                "{own} is newer than the control plane's {of_cluster}, and a kubelet must not be newer than its API server"
            )
        }
        Some(known) if known < before => {
            format!("{own} is more than one minor version older than the control plane's {of_cluster}")
        }
        Some(_) => return,
    };
    report.add(
        format!("{path}.kubernetesVersion"),
        message,
        format!(
            "write \"{}.{}\", or remove the field, and the group has the cluster's version",
            before.0, before.1
        ),
    );
}

fn counts(group: &WorkerNodeGroup, path: &str, report: &mut Report) {
    let count = group.count.unwrap_or(1);
    if count < 0 {
        report.add(
            format!("{path}.count"),
            format!("{count} is negative"),
            "write 0 or more",
        );
    }
    let Some(bounds) = &group.autoscaling_configuration else {
        return;
    };
    let bound = |name: &str| bounds.get(name).and_then(Value::as_i64);
    match (bound("minCount"), bound("maxCount")) {
        (Some(min), Some(max)) if min < 0 || min > max => report.add(
            format!("{path}.autoscalingConfiguration"),
            format!("minCount {min} and maxCount {max} are no range"),
            "write a minCount of 0 or more and a maxCount that is not below it",
        ),
        (Some(min), Some(max)) if !(min..=max).contains(&i64::from(count)) => report.add(
            format!("{path}.count"),
            format!("{count} is outside {min} to {max} of autoscalingConfiguration"),
            "write a count between the two, or none",
        ),
        (Some(_), Some(_)) => {}
        _ => report.add(
            format!("{path}.autoscalingConfiguration"),
            "minCount and maxCount belong together",
            "write both as whole numbers",
        ),
    }
}
