//! `upgradeRolloutStrategy`, by EKS Anywhere's rules for bare metal, and `eksaVersion`.

use serde_json::Value;

use crate::bundle::ClusterBundle;
use crate::violation::Report;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let spec = &bundle.cluster.spec;
    if let Some(version) = spec
        .eksa_version
        .as_deref()
        .filter(|version| !is_version(version))
    {
        report.add(
            "spec.eksaVersion",
            format!("{version:?} is not a version of EKS Anywhere"),
            "write one such as v0.22.0, or remove the field",
        );
    }
    let control = &spec.control_plane_configuration;
    if let Some(strategy) = &control.upgrade_rollout_strategy {
        let path = "spec.controlPlaneConfiguration.upgradeRolloutStrategy";
        strategy_of(strategy, path, report);
    }
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        if let Some(strategy) = &group.upgrade_rollout_strategy {
            let path = format!("spec.workerNodeGroupConfigurations[{at}].upgradeRolloutStrategy");
            strategy_of(strategy, &path, report);
        }
    }
}

/// `v0.22.0`, with what Semantic Versioning allows behind it.
fn is_version(text: &str) -> bool {
    let core = text.strip_prefix('v').unwrap_or(text);
    let core = core.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

fn strategy_of(strategy: &Value, path: &str, report: &mut Report) {
    let kind = strategy.get("type").and_then(Value::as_str);
    if !matches!(kind, None | Some("RollingUpdate" | "InPlace")) {
        report.add(
            format!("{path}.type"),
            format!("{} is not a strategy", kind.unwrap_or_default()),
            "write RollingUpdate or InPlace",
        );
    }
    let rolling = strategy.get("rollingUpdate");
    let number = |name: &str| {
        rolling
            .and_then(|rolling| rolling.get(name))
            .and_then(Value::as_i64)
    };
    let (surge, unavailable) = (number("maxSurge"), number("maxUnavailable"));
    if surge == Some(0) && unavailable == Some(0) {
        report.add(
            format!("{path}.rollingUpdate"),
            "maxSurge and maxUnavailable can't both be 0: no machine could ever be replaced",
            "allow one of the two",
        );
    }
    if [surge, unavailable]
        .into_iter()
        .flatten()
        .any(|number| number < 0)
    {
        report.add(
            format!("{path}.rollingUpdate"),
            "maxSurge and maxUnavailable are numbers of 0 or more",
            "write such numbers",
        );
    }
}
