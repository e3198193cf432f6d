//! `repairing`: the machine runs the installer once, which renews certificates in its installed system. Entered from `running`;
//! back there with the end of the Workflow, well or not: the system on the disk is the same. A machine whose repair has failed is
//! power-cycled once, so that it starts that system. The workflow has deadlines of its own for every wait.

use jiff::Timestamp;

use super::installing::describe;
use super::releasing::a_day_on;
use crate::metal_state::MetalState;
use crate::repair;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let Some(server) = snapshot.claimed() else {
        return fail("the server was taken away while it was being repaired");
    };
    let Some(number) = repair::wanted(snapshot) else {
        let status = snapshot.machine.status.as_ref();
        let last = status.and_then(|status| status.certificate_repair.as_ref());
        let Some((number, failure)) = last.and_then(|last| Some((last.number, last.failure.as_ref()?)))
        else {
            return Step::go(MetalState::Running, "repaired; its system boots again");
        };
        let job = format!("reset-{}", repair::name(snapshot, number));
        if server.spec.bmc.is_some() && snapshot.job(&job).is_none() {
            return Step::Do(Effect::Reset { job });
        }
        return Step::go(
            MetalState::Running,
            format!("repair {number} has failed ({failure}); its system boots again as it was"),
        );
    };
    let name = repair::name(snapshot, number);
    let Some(workflow) = snapshot.workflows.get(&name) else {
        return Step::Do(Effect::Repair { workflow: name });
    };
    let status = workflow.status.clone().unwrap_or_default();
    let deadline = status.deadline.as_ref().map(|deadline| deadline.0);
    Step::wait(
        format!(
            "its certificates are being renewed: {}",
            describe(workflow, status.reason)
        ),
        deadline
            .filter(|deadline| *deadline > now)
            .unwrap_or_else(|| a_day_on(snapshot, now)),
    )
    .with_percent(status.percent)
}
