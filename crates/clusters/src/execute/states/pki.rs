//! Keys first: done when every authority and Cluster API's Cluster are there.

use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};

pub(super) fn decide(view: View<'_>) -> Decision {
    if !view.snapshot.has_pki() {
        return Step::Do(Effect::MakePki);
    }
    if !view.snapshot.has_parents() {
        return Step::Do(Effect::MakeParents);
    }
    done()
}
