//! A machine that is to be installed anew on the server that it has: `spec.installation` is above the installation that was
//! carried out last. Left to `preparing`, or to `pending` without a server. A system whose first boot has not failed is left
//! alone, because it may be a node, and an installation cuts its power.

use kube::ResourceExt as _;

use super::failures::record_first_boot;
use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::Step;

pub(super) fn decide(snapshot: &Snapshot) -> Step {
    let wanted = snapshot.machine.spec.installation;
    if let Some(adopted) = &snapshot.machine.spec.adopts {
        return Step::done(format!(
            "installation {wanted} is wanted, but the machine is node {}, which was adopted and is left alone; to put another \
             machine in its place: gantry replace machine {}",
            adopted.node,
            snapshot.machine.name_any()
        ));
    }
    if let Some(step) = record_first_boot(snapshot) {
        return step;
    }
    if snapshot.claimed().is_none() {
        return Step::go(
            MetalState::Pending,
            format!("installation {wanted} is wanted, and it has no server"),
        );
    }
    let first = snapshot.first_boot().filter(|first| first.was_heard());
    match first.map(|first| first.failure.as_ref()) {
        Some(None) => Step::done(format!(
            "installation {wanted} is wanted, but its first boot has not failed, so it may be a node of its cluster and is \
             left alone; to put another machine in its place: gantry replace machine {}",
            snapshot.machine.name_any()
        )),
        Some(Some(failure)) => Step::go(
            MetalState::Preparing,
            format!("{failure}; installation {wanted} begins"),
        ),
        None => Step::go(MetalState::Preparing, format!("installation {wanted} begins")),
    }
}
