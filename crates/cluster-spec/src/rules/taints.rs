//! Taints of nodes.

use std::collections::BTreeSet;

use resources::anywhere::Taint;

use crate::rules::labels::{SYNTAX, is_key, is_value};
use crate::violation::Report;

/// Effects that Kubernetes knows, its syntax, and no taint twice: a node with others is refused by its API.
pub(super) fn check_taints(taints: &[Taint], path: &str, report: &mut Report) {
    let mut known = BTreeSet::new();
    for (at, taint) in taints.iter().enumerate() {
        if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
            report.add(
                format!("{path}[{at}].effect"),
                format!("{:?} is not an effect", taint.effect),
                "write NoSchedule, PreferNoSchedule or NoExecute",
            );
        }
        if !is_key(&taint.key) {
            report.add(
                format!("{path}[{at}].key"),
                format!("{:?} is not the key of a taint", taint.key),
                SYNTAX,
            );
        }
        let value = taint.value.as_deref().unwrap_or_default();
        if !is_value(value) {
            report.add(
                format!("{path}[{at}].value"),
                format!("{value:?} is not the value of a taint"),
                SYNTAX,
            );
        }
        if !known.insert(taint.id()) {
            report.add(
                format!("{path}[{at}]"),
                format!("there is a taint {} before", taint.id()),
                "remove one of the two: a node has one taint of a key and an effect",
            );
        }
    }
}
