//! Carries out what comes next for nodes that become machines of their cluster ([`AdoptionStep`]). No plan does it: nothing is
//! made or taken away, and nobody's work is disrupted.

use compare_and_set::Change;
use resources::gantry::ProviderMachine;

use super::machines::{self, NewMachine};
use super::worker_groups::below_set;
use crate::access::Access;
use crate::error::Error;
use crate::observe::{AdoptionStep, Snapshot};
use crate::plan::Wanted;

/// One write for one node. Tells whether there was any.
pub(crate) async fn adopt_nodes(
    access: &Access,
    snapshot: &Snapshot,
    wanted: &Wanted,
) -> Result<bool, Error> {
    let (Some(control_plane), Some(cluster_uid)) = (&snapshot.control_plane, snapshot.cluster_uid()) else {
        return Ok(false);
    };
    if let Some(candidate) = snapshot.refused_candidate() {
        access.delete::<ProviderMachine>(&candidate).await?;
        return Ok(true);
    }
    // The first plan makes it, and a cluster that is rebuilt has had that long ago.
    if snapshot.capi.is_none() && snapshot.adoption_steps().next().is_some() {
        machines::make_cluster(access, wanted).await?;
        return Ok(true);
    }
    for (node, step) in snapshot.adoption_steps() {
        let wish = ["spec", "adoptions", node.as_str()];
        match step {
            AdoptionStep::Wait(_) => continue,
            AdoptionStep::Done => {
                access
                    .change(&**control_plane, vec![Change::remove(&wish)])
                    .await?;
            }
            AdoptionStep::Refuse(reason) => {
                tracing::warn!(cluster = snapshot.cluster, node, reason, "a node is not adopted");
                let path = [wish.as_slice(), &["refused"]].concat();
                access.set(&**control_plane, &path, &reason).await?;
            }
            AdoptionStep::Begin(candidate) => {
                let Some(pool) = wanted.pool(&candidate.pool) else {
                    continue;
                };
                // Its driver would make another machine.
                if pool.plugin.is_some() {
                    let reason = format!(
                        "machines of driver {} are not adopted by this version",
                        wanted.provider
                    );
                    let path = [wish.as_slice(), &["refused"]].concat();
                    access.set(&**control_plane, &path, &reason).await?;
                    return Ok(true);
                }
                let new = NewMachine {
                    name: &candidate.name,
                    uid: &candidate.uid,
                    cluster_uid,
                    replacement: 0,
                    pool,
                    gated: false,
                };
                machines::make_candidate(access, wanted, new, &candidate).await?;
            }
            AdoptionStep::Join { name, version } => {
                let Some(provider) = snapshot.provider_machines.get(&name) else {
                    continue;
                };
                let Some(pool) = wanted.pool(&provider.spec.pool) else {
                    continue;
                };
                let above = match provider.spec.revision == pool.revision {
                    true => below_set(snapshot, pool),
                    false => Default::default(),
                };
                tracing::info!(
                    cluster = snapshot.cluster,
                    node,
                    machine = name,
                    "a node is adopted"
                );
                machines::join_adopted(access, wanted, above, (provider, pool), version).await?;
            }
        }
        return Ok(true);
    }
    Ok(false)
}
