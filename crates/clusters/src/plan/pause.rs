//! A rollout that a person has paused: no machine that works is exchanged, while what is missing or broken is made and
//! replaced.

use kube::ResourceExt as _;
use resources::anywhere::Cluster;
use resources::keys;

/// Who has paused the exchange of the machines of a cluster, and why: a sentence that begins with "the rollout is paused".
pub(crate) fn rollout_paused(cluster: &Cluster) -> Option<String> {
    let key = keys::ROLLOUT_PAUSED;
    match cluster.annotations().get(key)?.trim() {
        "" | "false" => None,
        "true" => Some(format!("the rollout is paused by annotation {key}")),
        who => Some(format!("the rollout is paused by {who}")),
    }
}

/// What to do to go on.
pub(crate) fn to_resume(cluster: &str) -> String {
    format!("to go on: gantry upgrade resume {cluster}")
}
