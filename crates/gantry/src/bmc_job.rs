//! Jobs of BMCs as commands make them, the same that kubectl could make: what was wanted stays in the API, and the appliance,
//! which alone has the passwords of BMCs, carries it out.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Client, Resource as _, ResourceExt as _};
use resources::bmc::{Action, BmcReport, ConditionKind, Job, JobSpec, Machine, NamespacedRef, Task};
use resources::gantry::Server;

use crate::failure::{Failure, Outcome};
use crate::output;

const LOOK: Duration = Duration::from_millis(500);
/// Label of a Task with the name of its Job.
const OWNER: &str = "owner-name";

/// The server and its BMC.
pub(crate) async fn target(client: &Client, namespace: &str, name: &str) -> Outcome<(Server, Machine)> {
    let servers: Api<Server> = Api::namespaced(client.clone(), namespace);
    let Some(server) = servers.get_opt(name).await? else {
        return Err(Failure::text(format!(
            "there is no server {name} in {namespace}; see: gantry get servers -A"
        )));
    };
    let Some(bmc) = &server.spec.bmc else {
        return Err(Failure::text(format!(
            "{name} has no BMC: its power is switched by hand; to give it one, fill bmc_ip, bmc_username and bmc_password in \
             hardware.csv and import it again"
        )));
    };
    let bmcs: Api<Machine> = Api::namespaced(client.clone(), namespace);
    match bmcs.get_opt(bmc).await? {
        Some(machine) => Ok((server, machine)),
        None => Err(Failure::text(format!(
            "the BMC {bmc} of {name} is gone; see: gantry get bmcs -A"
        ))),
    }
}

/// Names of the servers that are named or selected, each once.
pub(crate) async fn names(
    client: &Client,
    namespace: &str,
    named: &[String],
    selector: Option<&str>,
) -> Outcome<Vec<String>> {
    let mut all: Vec<String> = named.to_vec();
    if let Some(selector) = selector {
        let servers: Api<Server> = Api::namespaced(client.clone(), namespace);
        let found = servers.list(&ListParams::default().labels(selector)).await?;
        all.extend(found.iter().map(kube::ResourceExt::name_any));
        if all.is_empty() {
            return Err(Failure::text(format!(
                "no server in {namespace} has the labels {selector}; see: gantry get servers -l {selector} -A"
            )));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    Ok(all)
}

/// The Job of one action, which goes with its BMC. `verb` begins its name.
pub(crate) fn job(verb: &str, server: &str, bmc: &Machine, action: Action, now: Timestamp) -> Job {
    let namespace = bmc.namespace().unwrap_or_default();
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{verb}-{server}-{}", now.as_millisecond())),
            namespace: Some(namespace.clone()),
            owner_references: Some(bmc.owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: JobSpec {
            machine_ref: NamespacedRef {
                name: bmc.name_any(),
                namespace,
            },
            tasks: vec![action],
        },
        status: None,
    }
}

/// Makes it; its name.
pub(crate) async fn make(client: &Client, job: &Job) -> Outcome<String> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    Ok(jobs.create(&PostParams::default(), job).await?.name_any())
}

/// Waits for its end. `server` stands before what it waits for, which is told once each.
pub(crate) async fn wait(client: &Client, namespace: &str, job: &str, server: &str) -> Outcome {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let mut told = String::new();
    loop {
        let Some(now) = jobs.get_opt(job).await? else {
            return Err(Failure::text(format!("Job {job} was deleted before it ended")));
        };
        let (kind, message) = state(&now);
        match kind {
            Some(ConditionKind::Completed) => return Ok(()),
            Some(ConditionKind::Failed) => {
                return Err(Failure::text(format!("{server}: {message}")));
            }
            _ if message != told => {
                output::note(format!("{server}: {message}"));
                told = message;
            }
            _ => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the BMC has answered to a Job that has ended.
pub(crate) async fn report(client: &Client, namespace: &str, job: &str) -> Outcome<BmcReport> {
    let tasks: Api<Task> = Api::namespaced(client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("{OWNER}={job}"));
    let found = tasks.list(&of_job).await?;
    let report = found
        .into_iter()
        .find_map(|task| task.status.and_then(|status| status.report));
    report.ok_or_else(|| {
        Failure::text(format!(
            "Job {job} has ended and has no report; is the appliance of the same version as this command?"
        ))
    })
}

/// Deletes a Job that only read something. The appliance would do so in an hour.
pub(crate) async fn forget(client: &Client, namespace: &str, job: &str) {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    if let Err(error) = jobs.delete(job, &DeleteParams::default()).await {
        tracing::debug!(job, error = %causes::line(&error), "the Job is left for the appliance to delete");
    }
}

/// The condition that holds, and its message.
fn state(job: &Job) -> (Option<ConditionKind>, String) {
    let mut conditions = job.status.iter().flat_map(|status| &status.conditions);
    let held = conditions.find(|condition| condition.status == "True");
    // A Job that waits for its turn has no condition that is true; why it waits is told all the same.
    let first = job.status.iter().flat_map(|status| &status.conditions).next();
    let message = held.or(first).and_then(|condition| condition.message.clone());
    (
        held.map(|held| held.kind),
        message.unwrap_or_else(|| "waits".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use resources::bmc::PowerAction;
    use serde_json::json;

    use super::*;

    fn made() -> Job {
        let bmc: Machine = serde_json::from_value(json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine",
            "metadata": {"name": "bmc-n1", "namespace": "n", "uid": "u"}, "spec": {"connection": {"host": "192.0.2.101"}}}))
        .unwrap();
        let action = Action {
            power_action: Some(PowerAction::Cycle),
            ..Action::default()
        };
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        job("power-cycle", "n1", &bmc, action, now)
    }

    #[test]
    fn a_job_as_kubectl_would_make_it() {
        let made = serde_json::to_value(made()).unwrap();
        assert_eq!(made["metadata"]["name"], "power-cycle-n1-1800000000000");
        assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "bmc-n1");
        let expected =
            json!({"machineRef": {"name": "bmc-n1", "namespace": "n"}, "tasks": [{"powerAction": "cycle"}]});
        assert_eq!(made["spec"], expected);
    }

    #[test]
    fn states_in_words() {
        let mut made = made();
        assert_eq!(state(&made), (None, "waits".to_owned()));
        for (conditions, kind, message) in [
            (
                json!([{"type": "Running", "status": "False"}, {"type": "Failed", "status": "True", "message": "task 0: no route"}]),
                Some(ConditionKind::Failed),
                "task 0: no route",
            ),
            (
                json!([{"type": "Running", "status": "False", "message": "waits for Job a"}]),
                None,
                "waits for Job a",
            ),
        ] {
            made.status = serde_json::from_value(json!({ "conditions": conditions })).unwrap();
            assert_eq!(state(&made), (kind, message.to_owned()));
        }
    }
}
