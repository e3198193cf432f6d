//! `pending` of a machine that is to be a node which runs already (`spec.adopts`): the server that the node names is claimed when
//! the evidence is enough. Left to `running` with the claim: nothing is powered, booted or written. Left to `failed` when the
//! server is not that of the node, or when evidence is missing after ten minutes.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::AdoptedNode;

use crate::adoption::{Refusal, judge};
use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

/// Minutes within which a BMC is asked who its machine is.
const MINUTES: u32 = 10;

pub(super) fn decide(snapshot: &Snapshot, node: &AdoptedNode, now: Timestamp) -> Step {
    let name = &node.node;
    if let Some(server) = snapshot.claimed() {
        return Step::go(
            MetalState::Running,
            format!("node {name} on server {} is adopted", server.name_any()),
        );
    }
    let Some(server) = snapshot.servers.first() else {
        return fail(format!(
            "no server is named by {}, the providerID of node {name}; import its hardware, then adopt it again",
            node.provider_id
        ));
    };
    let hardware = snapshot.hardware.get(&server.spec.hardware);
    match judge(&snapshot.machine, node, (server, hardware), snapshot.bmc.as_ref()) {
        Ok(()) => Step::Do(Effect::Claim {
            server: server.name_any(),
        }),
        Err(Refusal::Wrong(why)) => fail(why),
        Err(Refusal::Missing(why)) => {
            Step::wait(why, snapshot.minutes_on(MINUTES, now)).or_at_deadline(now, fail)
        }
    }
}
