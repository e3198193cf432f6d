//! Keys first: done when every authority, Cluster API's Cluster and the ControlPlane are there and the images are on
//! their way.

use super::{Decision, Effect, wait};
use crate::execute::snapshot::Snapshot;

pub(super) fn decide(snapshot: &Snapshot) -> Decision {
    let Some(desired) = &snapshot.desired else {
        return wait("waits for the cluster's documents");
    };
    if !snapshot.pki {
        return Decision::Do(Effect::MakePki);
    }
    if !snapshot.parents {
        return Decision::Do(Effect::MakeParents);
    }
    let missing = desired
        .machines
        .iter()
        .find(|machine| !snapshot.images.contains_key(&machine.image_url));
    missing.map_or(Decision::Done, |machine| {
        Decision::Do(Effect::MakeImage(machine.image_url.clone()))
    })
}
