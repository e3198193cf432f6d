//! Labels and taints of nodes that are there: what the documents name is kept on them, whoever changes it; what the documents
//! named before is taken away; everything else is left alone.
//!
//! Which keys are the documents' is in `ControlPlane.spec.nodeKeys`, before a node gets them and as long as one may have them.
//! It is not on the nodes, because a kubelet writes annotations of its own node and must not decide about its taints.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use resources::gantry::NodeKeys;

use super::machines::make_control_plane;
use crate::access::Access;
use crate::day_two::LabelsAndTaints;
use crate::error::Error;
use crate::observe::{ApiSeen, Connection, NodeView, Snapshot};
use crate::pin::Pin;
use crate::plan::Wanted;

/// Most nodes that are written in one round.
const BATCH: usize = 100;

/// What became of the nodes.
pub(crate) enum Kept {
    /// They are as they are to be, or it can't be seen.
    Nothing,
    /// Something was written.
    Wrote,
    /// One can't be written, and why.
    Waits(String),
}

/// What the node of a machine is to have, by the pool of the machine.
pub(crate) fn wanted_of(snapshot: &Snapshot, machine: &str) -> Option<LabelsAndTaints> {
    let pool = snapshot
        .wanted
        .as_ref()?
        .pool(&snapshot.provider_machines.get(machine)?.spec.pool)?;
    let recorded = snapshot.control_plane.as_ref();
    let keys = recorded.and_then(|known| known.spec.node_keys.get(&pool.name).cloned());
    let version = snapshot.machines.get(machine)?.spec.version.as_deref();
    Some(LabelsAndTaints {
        labels: pool.node_labels(version.unwrap_or_default()),
        taints: pool.node_taints(),
        keys: keys.unwrap_or_default(),
    })
}

/// Whether a node has what it is to have.
pub(crate) fn has(node: &NodeView, wanted: &LabelsAndTaints) -> bool {
    wanted.change(&node.labels, &node.taints).is_empty()
}

/// Writes labels and taints of a node. Returns why it can't be done.
pub(super) async fn write(
    connection: &Connection,
    machine: &str,
    node: &NodeView,
    wanted: &LabelsAndTaints,
) -> Option<String> {
    let name = &node.name;
    let written = connection
        .api
        .set_labels_and_taints(name.clone(), wanted.clone())
        .await;
    match written {
        Ok(after) if has(&after, wanted) => None,
        Ok(after) => {
            let left = wanted.change(&after.labels, &after.taints);
            let labels = left.labels.into_keys();
            let taints = left.taints.iter().map(resources::anywhere::Taint::id);
            let keys: Vec<String> = labels.chain(taints).chain(left.gone).collect();
            Some(format!(
                "{machine}: something in the cluster changes labels or taints of node {name} back at once: {}",
                keys.join(", ")
            ))
        }
        Err(why) => Some(format!(
            "{machine}: cannot set labels and taints of node {name}: {why}"
        )),
    }
}

/// Keeps labels and taints of all nodes that have joined. While the records are older than the cluster, or its data are on the
/// way from one machine to another, nothing is written.
pub(crate) async fn keep_labels_and_taints(
    access: &Access,
    snapshot: &Snapshot,
    pin: &Pin,
    connection: Option<&Connection>,
) -> Result<Kept, Error> {
    let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
    let Some(connection) = connection.filter(|_| answers && !snapshot.is_ahead()) else {
        return Ok(Kept::Nothing);
    };
    if snapshot.saved().is_some() {
        return Ok(Kept::Nothing);
    }
    let mut written = 0;
    for machine in snapshot.provider_machines.keys() {
        if written == BATCH || !snapshot.has_joined(machine) || snapshot.is_going(machine) {
            continue;
        }
        let (Some(node), Some(wanted)) = (snapshot.own_node(machine), wanted_of(snapshot, machine)) else {
            continue;
        };
        if has(node, &wanted) {
            continue;
        }
        if let Some(why) = write(connection, machine, node, &wanted).await {
            return Ok(Kept::Waits(why));
        }
        written = written.saturating_add(1);
    }
    if written > 0 || forget_keys(access, snapshot, pin).await? {
        return Ok(Kept::Wrote);
    }
    Ok(Kept::Nothing)
}

/// Drops keys that the documents name no longer and that no node has or gets any more. Tells whether there were any.
async fn forget_keys(access: &Access, snapshot: &Snapshot, pin: &Pin) -> Result<bool, Error> {
    let (Some(wanted), Some(control_plane)) = (&snapshot.wanted, &snapshot.control_plane) else {
        return Ok(false);
    };
    let recorded = &control_plane.spec.node_keys;
    let exact = wanted.node_keys(&BTreeMap::new());
    let kept = |(pool, keys): (&String, &NodeKeys)| {
        let keys = match exact.get(pool) {
            Some(exact) if is_settled(snapshot, pool) => exact,
            _ => keys,
        };
        (pool.clone(), keys.clone())
    };
    let left: BTreeMap<String, NodeKeys> = recorded.iter().map(kept).collect();
    if left == *recorded {
        return Ok(false);
    }
    tracing::info!(
        cluster = control_plane.name_any(),
        "labels and taints that the documents name no longer are on no node"
    );
    make_control_plane(access, wanted, Some(&**control_plane), Some(pin), left).await?;
    Ok(true)
}

/// Whether every node of a pool has what it is to have, and none comes with what was wanted before: no machine is in its first
/// boot, and the node of each that has joined is there.
fn is_settled(snapshot: &Snapshot, pool: &str) -> bool {
    let of_pool = |machine: &&String| {
        let provider = snapshot.provider_machines.get(*machine);
        provider.is_some_and(|provider| provider.spec.pool == pool) && !snapshot.is_going(machine)
    };
    let mut machines = snapshot.provider_machines.keys().filter(of_pool);
    machines.all(|machine| {
        let node = snapshot.own_node(machine).zip(wanted_of(snapshot, machine));
        let fits = node.is_some_and(|(node, wanted)| has(node, &wanted));
        !snapshot.bootstrap.contains_key(machine) && (fits || !snapshot.has_joined(machine))
    })
}

/// The keys to record: those of the documents, and those that nodes may have from before. A record that an earlier version of
/// Gantry made has none; then it is what those documents named that it was made of.
pub(crate) fn node_keys(snapshot: &Snapshot, wanted: &Wanted) -> BTreeMap<String, NodeKeys> {
    let Some(control_plane) = &snapshot.control_plane else {
        return wanted.node_keys(&BTreeMap::new());
    };
    let spec = &control_plane.spec;
    let earlier = spec
        .node_keys
        .is_empty()
        .then(|| Pin::recorded(control_plane))
        .flatten();
    match earlier {
        Some(earlier) => wanted.node_keys(&earlier.node_keys(&BTreeMap::new())),
        None => wanted.node_keys(&spec.node_keys),
    }
}
