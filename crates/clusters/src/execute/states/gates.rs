//! The upgrade gates after a machine has joined: their Jobs are made once, and are waited for. Done when all of them have
//! succeeded and that is noted, or when nobody wants it any more.

use steps::Step;

use crate::execute::decision::{Decision, Effect, GatesEffect, View, done, fail};
use crate::observe::GatesProgress;
use crate::plan::{Gates, to_retry};

pub(super) fn decide(view: View<'_>) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    if !snapshot.is_gated(machine) || snapshot.is_going(machine) {
        return done();
    }
    match snapshot.gates() {
        Gates::None => return done(),
        Gates::Unusable(why) => return view.wait_for_others(format!("{machine}: {why}")),
        Gates::Named => {}
    }
    let act = |effect| Step::Do(Effect::Gates(effect));
    match snapshot.gates_progress(machine, view.now) {
        None => view.wait_for_others(format!(
            "{machine}: waits for the cluster's API before its upgrade gates are run"
        )),
        Some(GatesProgress::NotRun) => act(GatesEffect::Run(machine.to_owned())),
        Some(GatesProgress::Running(jobs)) => view.wait(format!("{machine}: upgrade gates: {jobs}")),
        Some(GatesProgress::Failed(why)) => fail(format!("{why}; {}", to_retry(&snapshot.cluster))),
        Some(GatesProgress::Passed) => act(GatesEffect::Pass(machine.to_owned())),
    }
}
