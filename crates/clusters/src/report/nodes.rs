//! How many nodes of a role are Ready.

use resources::conditions::Holds;
use resources::gantry::MachineRole;

use crate::observe::{ApiSeen, Snapshot};

/// Whether as many nodes of a role are Ready as are wanted. Unknown while nobody can be asked.
pub(super) fn nodes(snapshot: &Snapshot, role: MachineRole) -> (Holds, String) {
    let pools = snapshot.wanted.iter().flat_map(|wanted| &wanted.pools);
    let wanted: usize = pools
        .filter(|pool| pool.role == role)
        .map(|pool| pool.count)
        .sum();
    let what = match role {
        MachineRole::ControlPlane => "control-plane nodes",
        MachineRole::Worker => "workers",
    };
    if let ApiSeen::Silent(why) = &snapshot.api
        && snapshot.exists()
    {
        return (Holds::Unknown, format!("the API does not answer: {why}"));
    }
    let members = snapshot
        .existing()
        .into_iter()
        .filter(|name| snapshot.role(name) == role);
    let ready = members
        .filter(|name| snapshot.has_joined(name) && snapshot.own_node(name).is_some_and(|node| node.ready))
        .count();
    let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
    let enough = answers && ready >= wanted && (wanted > 0 || role == MachineRole::Worker);
    (enough.into(), format!("{ready} of {wanted} {what} are Ready"))
}
