//! How many machines of a pool are exchanged at a time: EKS Anywhere's `upgradeRolloutStrategy`.

use cluster_spec::{ClusterBundle, Group};
use resources::gantry::MachineRole;
use serde::Serialize;
use serde_json::Value;

/// Limits of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RolloutLimits {
    /// Machines above the wanted number, where there are free hosts for them.
    pub surge: usize,
    /// Machines below the wanted number. `None`, where nobody has said: none while there is a free host, else one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<usize>,
}

impl Default for RolloutLimits {
    /// EKS Anywhere's default, but for the machine that goes first where no host is free.
    fn default() -> Self {
        Self {
            surge: 1,
            unavailable: None,
        }
    }
}

impl RolloutLimits {
    /// Of a group of machines. `InPlace` asks for no host above those that are there: each machine is installed anew.
    pub(crate) fn of(bundle: &ClusterBundle, group: &Group<'_>) -> Self {
        let control_plane = &bundle.cluster.spec.control_plane_configuration;
        let strategy = match group.role {
            MachineRole::ControlPlane => control_plane.upgrade_rollout_strategy.as_ref(),
            MachineRole::Worker => bundle
                .worker_group(group)
                .and_then(|worker| worker.upgrade_rollout_strategy.as_ref()),
        };
        strategy.map_or_else(Self::default, Self::read)
    }

    fn read(strategy: &Value) -> Self {
        if strategy.get("type").and_then(Value::as_str) == Some("InPlace") {
            return Self {
                surge: 0,
                unavailable: Some(1),
            };
        }
        let number = |name: &str| {
            let value = strategy.get("rollingUpdate")?.get(name)?.as_u64()?;
            usize::try_from(value).ok()
        };
        let surge = number("maxSurge");
        Self {
            surge: surge.unwrap_or(1),
            unavailable: number("maxUnavailable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strategies() {
        let cases = [
            (json!({}), 1, None),
            (json!({ "type": "RollingUpdate" }), 1, None),
            (
                json!({ "rollingUpdate": { "maxSurge": 2, "maxUnavailable": 0 } }),
                2,
                Some(0),
            ),
            (
                json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 3 } }),
                0,
                Some(3),
            ),
            (
                json!({ "type": "InPlace", "rollingUpdate": { "maxSurge": 2 } }),
                0,
                Some(1),
            ),
        ];
        for (strategy, surge, unavailable) in cases {
            let wanted = RolloutLimits { surge, unavailable };
            assert_eq!(RolloutLimits::read(&strategy), wanted, "{strategy}");
        }
    }
}
