//! Changes of versions of Kubernetes, of a cluster and of its worker groups: one minor version after the other, none back, and no
//! group more than one behind the control plane at any moment of an upgrade.

use std::collections::BTreeSet;

use resources::anywhere::WorkerNodeGroup;
use serde_json::Value;

use crate::bundle::ClusterBundle;
use crate::passes::versions_between;
use crate::version::version;

/// What becomes of machines by a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machines {
    /// They have the version already.
    Stay,
    /// They are replaced.
    Replaced,
}

/// What becomes of a change; the error says why it is refused, and what to do instead.
type Outcome = Result<Machines, (String, String)>;

/// What changes of versions are decided from.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    /// The cluster's versions before and after.
    before: String,
    after: String,
    /// Minor versions that an upgrade may go through.
    passable: BTreeSet<(u32, u32)>,
    /// A worker group that is behind the control plane before, and stays in the cluster, with its version.
    behind: Option<(String, String)>,
}

impl Versions {
    pub(super) fn new(old: &ClusterBundle, new: &ClusterBundle, passable: BTreeSet<(u32, u32)>) -> Self {
        let (before, after) = (&old.cluster.spec, &new.cluster.spec);
        let of_cluster = version(&before.kubernetes_version);
        let stays = |group: &&WorkerNodeGroup| {
            let mut groups = after.worker_node_group_configurations.iter();
            groups.any(|known| known.name == group.name)
        };
        let mut groups = before.worker_node_group_configurations.iter().filter(stays);
        let behind = groups.find(|group| version(old.version_of(group)) < of_cluster);
        Self {
            before: before.kubernetes_version.clone(),
            after: after.kubernetes_version.clone(),
            passable,
            behind: behind.map(|group| {
                let name = group.name.clone().unwrap_or_default();
                (name, old.version_of(group).to_owned())
            }),
        }
    }

    /// The version of the cluster.
    pub(super) fn of_cluster(&self, old: &Value, new: &Value) -> Outcome {
        let (old, new) = (text(old), text(new));
        if version(&new).is_some_and(|new| Some(new) < version(&old)) {
            return Err((
                format!("Kubernetes can't go back from {old} to {new}: etcd's data are of the newer version"),
                format!("put {old} back"),
            ));
        }
        self.step(&old, &new)?;
        match &self.behind {
            Some((group, own)) if version(&new) != version(&old) => Err((
                format!(
                    "worker group {group} has Kubernetes {own}, and would be more than one minor version behind the control \
                     plane on the way from {old} to {new}"
                ),
                format!(
                    "put {old} back and remove kubernetesVersion of that group; write {new} when its machines have {old}"
                ),
            )),
            _ => Ok(Machines::Replaced),
        }
    }

    /// The version of a worker group; one without has the cluster's.
    pub(super) fn of_group(&self, old: &Value, new: &Value) -> Outcome {
        let own = |value: &Value, of_cluster: &String| match value {
            Value::Null => of_cluster.clone(),
            own => text(own),
        };
        let (before, after) = (own(old, &self.before), own(new, &self.after));
        if version(&before).is_some() && version(&before) == version(&after) {
            return Ok(Machines::Stay);
        }
        if version(&after).is_some_and(|after| Some(after) < version(&before)) {
            let back = match old {
                Value::Null => "remove the field".to_owned(),
                own => format!("put {} back", text(own)),
            };
            return Err((
                format!("machines of a worker group do not go back from Kubernetes {before} to {after}"),
                format!("{back}, or add another worker group with {after} in its place"),
            ));
        }
        self.step(&before, &after)?;
        Ok(Machines::Replaced)
    }

    /// Whether machines can be brought from one version to the other: within a minor version, to the next one, or to a later
    /// one through minor versions that are passable.
    fn step(&self, old: &str, new: &str) -> Result<(), (String, String)> {
        let (Some(before), Some(after)) = (version(old), version(new)) else {
            return Err((
                format!("{new} is not a Kubernetes minor version"),
                format!("put {old} back, or write the next minor version"),
            ));
        };
        if before.0 != after.0 {
            let next = before.1.saturating_add(1);
            return Err((
                format!("Kubernetes {new} is of another major version than {old}"),
                format!("write {}.{next} first", before.0),
            ));
        }
        let between = versions_between(old, new);
        let is_missing = |minor: &&String| version(minor).is_none_or(|minor| !self.passable.contains(&minor));
        match between.iter().find(is_missing) {
            None => Ok(()),
            Some(minor) => Err((
                format!(
                    "the way from Kubernetes {old} to {new} goes through {minor}, and no Release has that with a node image \
                     of the cluster's osFamily and CNI"
                ),
                format!("apply a Release of {minor} and an Image of it, or put {old} back"),
            )),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
