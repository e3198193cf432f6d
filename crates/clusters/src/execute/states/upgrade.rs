//! What an upgrade changes inside a cluster: what joining machines read before the first one joins, DNS, kube-proxy and the CNI
//! when the control plane has the new version.

use resources::gantry::MachineRole;
use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};
use crate::observe::{ApiSeen, addons_behind};

pub(super) fn config(view: View<'_>) -> Decision {
    let ApiSeen::Answers { system, .. } = &view.snapshot.api else {
        return view.wait_for_others("waits for the cluster's API");
    };
    let pools = view.snapshot.wanted.iter().flat_map(|wanted| &wanted.pools);
    let mut control_plane = pools.filter(|pool| pool.role == MachineRole::ControlPlane);
    let is_written = control_plane.all(|pool| system.joins_with.as_ref() == Some(&pool.revision));
    if is_written {
        done()
    } else {
        Step::Do(Effect::UpdateClusterConfig)
    }
}

pub(super) fn addons(view: View<'_>) -> Decision {
    if !matches!(view.snapshot.api, ApiSeen::Answers { .. }) {
        return view.wait_for_others("waits for the cluster's API");
    }
    if addons_behind(view.snapshot) {
        Step::Do(Effect::UpdateAddons)
    } else {
        done()
    }
}
