//! When a machine counts as dead, and how many dead ones of a pool are replaced: EKS Anywhere's `machineHealthCheck`, of
//! the group or else of the cluster.

use cluster_spec::{ClusterBundle, Group};
use jiff::SignedDuration;
use resources::gantry::MachineRole;
use serde::Serialize;
use serde_json::Value;

/// Limits of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthLimits {
    /// Seconds for which a node may be absent or not Ready before its machine is dead.
    pub unready_seconds: i64,
    /// Most dead machines that are replaced. With more of them at a time the cause is elsewhere, and none is.
    pub most: usize,
    /// Minutes that a machine may take to be installed and to join; the step's own limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_minutes: Option<u32>,
}

/// EKS Anywhere's default of `unhealthyMachineTimeout`.
const UNREADY: SignedDuration = SignedDuration::from_mins(5);

/// EKS Anywhere's default of `nodeStartupTimeout` on bare metal.
pub(crate) const STARTUP: SignedDuration = SignedDuration::from_mins(20);

impl HealthLimits {
    /// How long a new node may take to become Ready.
    pub(crate) fn startup(&self) -> SignedDuration {
        let minutes = self.startup_minutes.map(i64::from);
        minutes.map_or(STARTUP, SignedDuration::from_mins)
    }

    /// Of a group of machines.
    pub(crate) fn of(bundle: &ClusterBundle, group: &Group<'_>) -> Self {
        let spec = &bundle.cluster.spec;
        let own = match group.role {
            MachineRole::ControlPlane => spec.control_plane_configuration.machine_health_check.as_ref(),
            MachineRole::Worker => bundle
                .worker_group(group)
                .and_then(|worker| worker.machine_health_check.as_ref()),
        };
        let field = |name: &str| {
            let of = |check: &'_ Value| check.get(name).cloned();
            own.and_then(of)
                .or_else(|| spec.machine_health_check.as_ref().and_then(of))
        };
        let time = |name: &str| {
            let value = field(name);
            let text = value.as_ref().and_then(Value::as_str)?;
            text.parse::<SignedDuration>().ok()
        };
        let unready = time("unhealthyMachineTimeout").unwrap_or(UNREADY);
        let minutes =
            |time: SignedDuration| u32::try_from(time.as_secs().unsigned_abs().div_ceil(60).max(1)).ok();
        let default = match group.role {
            MachineRole::ControlPlane => 100,
            MachineRole::Worker => 40,
        };
        Self {
            unready_seconds: unready.as_secs(),
            most: most(field("maxUnhealthy").as_ref(), default, group.count),
            startup_minutes: time("nodeStartupTimeout").and_then(minutes),
        }
    }
}

/// A number, or a share of the pool in percent. A share is never less than one machine: 40 % of two workers would replace
/// nothing, ever.
fn most(value: Option<&Value>, default: usize, count: usize) -> usize {
    let share = |percent: usize| (count.saturating_mul(percent) / 100).max(1);
    match value {
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(usize::MAX),
        Some(Value::String(text)) => match text.strip_suffix('%') {
            Some(percent) => share(percent.trim().parse().unwrap_or(default)),
            None => text.trim().parse().unwrap_or_else(|_| share(default)),
        },
        _ => share(default),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_and_numbers() {
        let cases = [
            (None, 40, 2, 1),
            (None, 40, 10, 4),
            (Some(json!("40%")), 100, 2, 1),
            (Some(json!("50%")), 40, 4, 2),
            (Some(json!(3)), 40, 4, 3),
            (Some(json!("2")), 40, 10, 2),
            (Some(json!(0)), 40, 10, 0),
            (Some(json!("all")), 40, 10, 4),
        ];
        for (value, default, count, wanted) in cases {
            assert_eq!(
                most(value.as_ref(), default, count),
                wanted,
                "{value:?} of {count}"
            );
        }
    }

    #[test]
    fn a_new_node_has_twenty_minutes_or_what_the_file_says() {
        let of = |startup_minutes| HealthLimits {
            unready_seconds: 300,
            most: 1,
            startup_minutes,
        };
        assert_eq!(of(None).startup(), SignedDuration::from_mins(20));
        assert_eq!(of(Some(45)).startup(), SignedDuration::from_mins(45));
    }

    #[test]
    fn durations_are_go_s() {
        for (text, seconds) in [("5m0s", 300), ("20m", 1200), ("1h30m0s", 5400), ("45s", 45)] {
            assert_eq!(
                text.parse::<SignedDuration>().unwrap().as_secs(),
                seconds,
                "{text}"
            );
        }
    }
}
