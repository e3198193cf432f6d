//! The Jobs of upgrade gates, and the note that they have succeeded.

use resources::keys;

use super::decision::GatesEffect;
use super::work::Work;
use crate::error::Error;
use crate::observe::GATES_PASSED;

/// Carries an effect out; `Ok(Some(_))` says what it waits for.
pub(super) async fn act(work: &Work<'_>, effect: &GatesEffect) -> Result<Option<String>, Error> {
    match effect {
        GatesEffect::Run(machine) => run(work, machine).await,
        GatesEffect::Pass(machine) => pass(work, machine).await,
    }
}

/// Makes those that are not there.
async fn run(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let snapshot = work.snapshot;
    let (Some(view), Some(connection)) = (&snapshot.gates.view, work.connection) else {
        return Ok(None);
    };
    let Some(run) = snapshot.gate_run(machine) else {
        return Ok(Some(format!(
            "{machine}: its node is not in the cluster, so its upgrade gates are not run yet"
        )));
    };
    for gate in &snapshot.gates.named {
        let job = run.job_name(gate);
        let template = view.templates.get(gate);
        let Some(template) = template.filter(|_| !view.jobs.contains_key(&job)) else {
            continue;
        };
        tracing::info!(cluster = snapshot.cluster, machine, gate = %gate, job = %job, "running an upgrade gate");
        if let Err(why) = connection.api.apply(vec![run.job(gate, template)]).await {
            return Ok(Some(format!(
                "{machine}: cannot make Job {job} of upgrade gate {gate}: {why}"
            )));
        }
    }
    Ok(None)
}

/// Notes that those of a machine have succeeded.
async fn pass(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    if let Some(object) = work.snapshot.machines.get(machine) {
        let path = ["metadata", "annotations", keys::GATES_STATE];
        work.access.set(&**object, &path, &GATES_PASSED).await?;
    }
    Ok(None)
}
