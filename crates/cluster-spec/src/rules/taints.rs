//! Taints of nodes.

use resources::anywhere::Taint;

use crate::violation::Report;

/// Effects that Kubernetes knows.
pub(super) fn check_taints(taints: &[Taint], path: &str, report: &mut Report) {
    for (at, taint) in taints.iter().enumerate() {
        if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
            report.add(
                format!("{path}[{at}].effect"),
                format!("{:?} is not an effect", taint.effect),
                "write NoSchedule, PreferNoSchedule or NoExecute",
            );
        }
    }
}
