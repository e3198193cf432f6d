//! `machineHealthCheck` of the cluster, the control plane and worker groups: known fields with values that mean something.

use jiff::SignedDuration;
use serde_json::Value;

use crate::bundle::ClusterBundle;
use crate::violation::Report;

/// Cluster API refuses shorter ones.
const SHORTEST: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let spec = &bundle.cluster.spec;
    let mut one = |check: Option<&Value>, path: &str| {
        if let Some(check) = check {
            fields(check, &format!("{path}.machineHealthCheck"), report);
        }
    };
    one(spec.machine_health_check.as_ref(), "spec");
    one(
        spec.control_plane_configuration.machine_health_check.as_ref(),
        "spec.controlPlaneConfiguration",
    );
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        let path = format!("spec.workerNodeGroupConfigurations[{at}]");
        one(group.machine_health_check.as_ref(), &path);
    }
}

fn fields(check: &Value, path: &str, report: &mut Report) {
    let Some(fields) = check.as_object() else {
        report.add(path, "not an object", "write maxUnhealthy below it, for example");
        return;
    };
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "maxUnhealthy" if !is_limit(value) => report.add(
                path,
                format!("{value} is neither a number of machines nor a share of them"),
                "write a number such as 1, or a share such as 40%",
            ),
            "nodeStartupTimeout" | "unhealthyMachineTimeout" if !is_time(value) => report.add(
                path,
                format!("{value} is not a time of {} s or more", SHORTEST.as_secs()),
                "write one such as 10m0s",
            ),
            "maxUnhealthy" | "nodeStartupTimeout" | "unhealthyMachineTimeout" => {}
            _ => report.add(
                path,
                "unknown field",
                "remove it; known are maxUnhealthy, nodeStartupTimeout and unhealthyMachineTimeout",
            ),
        }
    }
}

fn is_limit(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_u64(),
        Value::String(text) => match text.strip_suffix('%') {
            Some(share) => share.parse::<u8>().is_ok_and(|share| share <= 100),
            None => text.parse::<u32>().is_ok(),
        },
        _ => false,
    }
}

fn is_time(value: &Value) -> bool {
    let time = value
        .as_str()
        .and_then(|text| text.parse::<SignedDuration>().ok());
    time.is_some_and(|time| time >= SHORTEST)
}
