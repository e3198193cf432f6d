//! BMC Jobs of a Workflow: made under Tinkerbell's names and label, owned by the Workflow, followed to their end.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Resource as _, ResourceExt as _};
use resources::bmc::{Action, ConditionKind, Job, JobSpec, NamespacedRef};
use resources::tinkerbell::JobStatus;

use super::Shared;
use super::reconcile::{After, Surroundings};
use crate::error::Error;
use crate::states::JobSeen;

/// Label of Jobs that a workflow made.
const LABEL: &str = "tink-controller-auto-created";

/// The Jobs that this Workflow has noted and that have not completed, by name. One that was made but not noted is
/// found again when it is to be made.
pub(super) async fn seen(shared: &Shared, around: &Surroundings) -> Result<BTreeMap<String, JobSeen>, Error> {
    let Some(status) = &around.workflow.status else {
        return Ok(BTreeMap::new());
    };
    if status.state.is_none_or(|state| state.is_terminal()) {
        return Ok(BTreeMap::new());
    }
    let api: Api<Job> = Api::namespaced(shared.client.clone(), &around.namespace);
    let noted = status.boot_options.iter().flat_map(|options| &options.jobs);
    let mut seen = BTreeMap::new();
    for (name, noted) in noted {
        if noted.complete {
            continue;
        }
        let job = api.get_opt(name).await.map_err(|source| Error::Read {
            kind: "Job",
            name: name.clone(),
            source,
        })?;
        if let Some(job) = job.filter(|job| is_of(job, around)) {
            seen.insert(name.clone(), outcome(&job));
        }
    }
    Ok(seen)
}

fn is_of(job: &Job, around: &Surroundings) -> bool {
    job.owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == around.workflow.metadata.uid.as_ref())
}

fn outcome(job: &Job) -> JobSeen {
    let conditions = job
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let holds = |kind| {
        conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.status == "True")
    };
    if let Some(failed) = holds(ConditionKind::Failed) {
        return JobSeen::Failed(
            failed
                .message
                .clone()
                .unwrap_or_else(|| "it gave no reason".into()),
        );
    }
    if holds(ConditionKind::Completed).is_some() {
        JobSeen::Completed
    } else {
        JobSeen::Runs
    }
}

/// Makes the Job and notes it. One of the same name that is not ours is deleted first.
pub(super) async fn make(
    shared: &Shared,
    around: &Surroundings,
    name: &str,
    tasks: Vec<Action>,
) -> Result<After, Error> {
    let Some(bmc) = around.server.as_ref().and_then(|server| server.spec.bmc.clone()) else {
        return Ok(After::Decide);
    };
    let api: Api<Job> = Api::namespaced(shared.client.clone(), &around.namespace);
    let failed = |source| Error::Write {
        what: "Job",
        name: name.to_owned(),
        source,
    };
    let found = api.get_opt(name).await.map_err(|source| Error::Read {
        kind: "Job",
        name: name.to_owned(),
        source,
    })?;
    let (job, replaced) = match found {
        Some(job) if is_of(&job, around) => (job, false),
        other => {
            let replaced = other.is_some();
            if replaced {
                api.delete(name, &DeleteParams::background())
                    .await
                    .map_err(failed)?;
            }
            let machine_ref = NamespacedRef {
                name: bmc,
                namespace: around.namespace.clone(),
            };
            let mut job = Job::new(name, JobSpec { machine_ref, tasks });
            job.metadata.labels = Some(BTreeMap::from([(LABEL.to_owned(), "true".to_owned())]));
            job.metadata.owner_references = owner(around).map(|owner| vec![owner]);
            match api.create(&PostParams::default(), &job).await {
                Ok(job) => (job, replaced),
                // The old one still goes; the next look makes the new one.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    return Ok(After::Wait(super::AGAIN / 5));
                }
                Err(source) => return Err(failed(source)),
            }
        }
    };
    tracing::info!(
        machine = around.machine(),
        workflow = around.name,
        job = name,
        "BMC job made"
    );
    around
        .keep(|status| {
            let jobs = &mut status.boot_options.get_or_insert_default().jobs;
            let noted = jobs.entry(name.to_owned()).or_default();
            *noted = JobStatus {
                uid: job.uid(),
                complete: false,
                existing_job_deleted: replaced,
            };
        })
        .await?;
    Ok(After::Decide)
}

fn owner(around: &Surroundings) -> Option<OwnerReference> {
    around.workflow.controller_owner_ref(&())
}

/// Notes that the Job has completed.
pub(super) async fn note(around: &Surroundings, name: &str) -> Result<After, Error> {
    around
        .keep(|status| {
            let jobs = &mut status.boot_options.get_or_insert_default().jobs;
            jobs.entry(name.to_owned()).or_default().complete = true;
        })
        .await?;
    Ok(After::Decide)
}
