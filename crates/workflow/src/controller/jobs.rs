//! BMC Jobs of a Workflow: made under Tinkerbell's names and label, owned by the Workflow, followed to their end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Resource as _, ResourceExt as _};
use resources::bmc::{Action, ConditionKind, Job, JobSpec, NamespacedRef};
use resources::tinkerbell::JobStatus;
use steps::later;

use super::seen::Seen;
use crate::context::ControllerContext;
use crate::error::Error;
use crate::states::{JobSeen, Step};

/// For a Job that is being deleted to go.
const GOES: SignedDuration = SignedDuration::from_secs(1);
/// Label of Jobs that a workflow made.
const LABEL: &str = "tink-controller-auto-created";

/// The Jobs that this Workflow has noted and that have not completed, by name. One that was made but not noted is
/// found again when it is to be made.
pub(super) async fn seen(
    context: &ControllerContext,
    seen: &Seen,
) -> Result<BTreeMap<String, JobSeen>, Error> {
    let Some(status) = &seen.workflow.status else {
        return Ok(BTreeMap::new());
    };
    if status.state.is_none_or(|state| state.is_terminal()) {
        return Ok(BTreeMap::new());
    }
    let api: Api<Job> = Api::namespaced(context.client.clone(), &seen.namespace);
    let noted = status.boot_options.iter().flat_map(|options| &options.jobs);
    let mut found = BTreeMap::new();
    for (name, noted) in noted {
        if noted.complete {
            continue;
        }
        let job = api.get_opt(name).await.map_err(|source| Error::Read {
            kind: "Job",
            name: name.clone(),
            source,
        })?;
        if let Some(job) = job.filter(|job| is_of(job, seen)) {
            found.insert(name.clone(), outcome(&job));
        }
    }
    Ok(found)
}

fn is_of(job: &Job, seen: &Seen) -> bool {
    job.owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == seen.workflow.metadata.uid.as_ref())
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
    context: &ControllerContext,
    seen: &mut Seen,
    name: &str,
    tasks: Vec<Action>,
    now: Timestamp,
) -> Result<Option<Step>, Error> {
    let Some(bmc) = seen.server.as_ref().and_then(|server| server.spec.bmc.clone()) else {
        return Ok(None);
    };
    let api: Api<Job> = Api::namespaced(context.client.clone(), &seen.namespace);
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
        Some(job) if is_of(&job, seen) => (job, false),
        other => {
            let replaced = other.is_some();
            if replaced {
                api.delete(name, &DeleteParams::background())
                    .await
                    .map_err(failed)?;
            }
            let machine_ref = NamespacedRef {
                name: bmc,
                namespace: seen.namespace.clone(),
            };
            let mut job = Job::new(name, JobSpec { machine_ref, tasks });
            job.metadata.labels = Some(BTreeMap::from([(LABEL.to_owned(), "true".to_owned())]));
            job.metadata.owner_references = owner(seen).map(|owner| vec![owner]);
            match api.create(&PostParams::default(), &job).await {
                Ok(job) => (job, replaced),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let reason = format!("BMC job {name} of an earlier Workflow is being deleted");
                    return Ok(Some(Step::wait(reason, later(now, GOES))));
                }
                Err(source) => return Err(failed(source)),
            }
        }
    };
    tracing::info!(
        machine = seen.machine(),
        workflow = seen.name,
        job = name,
        "BMC job made"
    );
    let jobs = &mut seen.status().boot_options.get_or_insert_default().jobs;
    let noted = JobStatus {
        uid: job.uid(),
        complete: false,
        existing_job_deleted: replaced,
    };
    jobs.insert(name.to_owned(), noted);
    Ok(None)
}

fn owner(seen: &Seen) -> Option<OwnerReference> {
    seen.workflow.controller_owner_ref(&())
}
