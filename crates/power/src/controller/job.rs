//! Job: waits for its turn at the machine, then makes its Tasks one after the other.

use std::sync::Arc;
use std::time::Duration;

use back_references::BackReferences;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Api, Resource as _, ResourceExt as _};
use resources::bmc::{ConditionKind, Job, JobStatus, Machine, Task, TaskSpec};
use resources::gantry::Server;
use resources::keys::MANAGER_POWER;
use resources::tinkerbell::{Workflow, WorkflowState};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::retry::on_error;
use crate::engine::job::{JobStep, kept_for, next, task_name};
use crate::engine::turn::{OpenAttempt, Turn, has_ended, turn};
use crate::status::{apply, conditions, now, place};
use crate::{Error, alarms, server};

/// Label of a Task with the name of its Job, as Rufio sets it.
const OWNER: &str = "owner-name";
/// A Job that waits for another looks again so often; the end of the other wakes it sooner.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let jobs: Api<Job> = Api::all(context.client.clone());
    let tasks: Api<Task> = Api::all(context.client.clone());
    let controller = Controller::new(jobs.clone(), watcher::Config::default());
    let (store, machines) = (controller.store(), BackReferences::default());
    let of_machine = machines.clone();
    controller
        .owns(tasks, watcher::Config::default())
        // A Job that ends gives the turn to the next one of its machine.
        .watches(jobs, watcher::Config::default(), move |changed: Job| {
            let machine = &changed.spec.machine_ref;
            let same = match has_ended(&changed) {
                true => of_machine.of(&store, &machine.namespace, &machine.name),
                false => Vec::new(),
            };
            let waiting = same.into_iter().filter(|job| !has_ended(job));
            waiting.map(|job| ObjectRef::from_obj(&*job))
        })
        .with_config(Config::default().concurrency(context.options.concurrency))
        .graceful_shutdown_on(async move { cancel.cancelled().await })
        .run(
            move |job, context| {
                let machine = &job.spec.machine_ref;
                machines.note(&*job, &machine.namespace, Some(&machine.name));
                reconcile(job, context)
            },
            on_error,
            context,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(job: Arc<Job>, context: Arc<Context>) -> Result<Action, Error> {
    if job.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if has_ended(&job) {
        return clear(&job, &context).await;
    }
    let reference = &job.spec.machine_ref;
    let machines: Api<Machine> = Api::namespaced(context.client.clone(), &reference.namespace);
    let found = machines.get_opt(&reference.name).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Machine",
        name: reference.name.clone(),
        source,
    })?;
    let Some(machine) = found else {
        let reason = format!(
            "spec.machineRef: there is no BMC {}/{}",
            reference.namespace, reference.name
        );
        return end(&job, &context, ConditionKind::Failed, Some(reason)).await;
    };
    if let Turn::After(reason) = my_turn(&job, &context).await? {
        waits(&job, &context, reason).await?;
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    if job
        .status
        .as_ref()
        .is_none_or(|status| status.start_time.is_none())
    {
        // Having begun is what others see as "it is my turn", so it is committed before anything is sent.
        running(&job, &context, "begins".to_owned()).await?;
    }
    step(&job, &machine, &context).await
}

/// Deletes a Job that has only read something when its time is over; its Tasks go with it.
async fn clear(job: &Job, context: &Context) -> Result<Action, Error> {
    let Some(left) = kept_for(job, Timestamp::now()) else {
        return Ok(Action::await_change());
    };
    if left > Duration::ZERO {
        return Ok(Action::requeue(left));
    }
    let (namespace, name) = place(job);
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &namespace);
    match jobs.delete(&name, &DeleteParams::default()).await {
        Ok(_) => Ok(Action::await_change()),
        // Whoever made it was first.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(Action::await_change()),
        Err(source) => Err(Error::Write {
            kind: "Job",
            name,
            source,
        }),
    }
}

async fn step(job: &Job, machine: &Machine, context: &Context) -> Result<Action, Error> {
    let (namespace, name) = place(job);
    let tasks: Api<Task> = Api::namespaced(context.client.clone(), &namespace);
    let read = |source| Error::Read {
        kind: "Tasks of Job",
        name: name.clone(),
        source,
    };
    let held = tasks
        .list(&ListParams::default().labels(&format!("{OWNER}={name}")))
        .await
        .map_err(read)?;
    match next(job, &held.items) {
        JobStep::Make(index) => {
            let task = new_task(job, machine, index);
            match tasks
                .create(
                    &PostParams {
                        field_manager: Some(MANAGER_POWER.to_owned()),
                        ..PostParams::default()
                    },
                    &task,
                )
                .await
            {
                Ok(_) => {}
                // Made by the reconcile before, which the watch has not shown yet.
                Err(kube::Error::Api(answer)) if answer.code == 409 => {
                    return Ok(Action::requeue(Duration::from_secs(1)));
                }
                Err(source) => {
                    return Err(Error::Write {
                        kind: "Task",
                        name: task.name_any(),
                        source,
                    });
                }
            }
            running(job, context, format!("task {index}: begins")).await?;
            Ok(Action::await_change())
        }
        JobStep::RemoveStale(stale) => {
            let deleted = tasks.delete(&stale, &DeleteParams::default()).await;
            deleted.map_err(|source| Error::Write {
                kind: "Task",
                name: stale,
                source,
            })?;
            Ok(Action::requeue(Duration::from_millis(200)))
        }
        JobStep::Wait { index, reason } => {
            running(job, context, format!("task {index}: {reason}")).await?;
            Ok(Action::await_change())
        }
        JobStep::Completed => end(job, context, ConditionKind::Completed, None).await,
        JobStep::Failed(reason) => end(job, context, ConditionKind::Failed, Some(reason)).await,
    }
}

async fn my_turn(job: &Job, context: &Context) -> Result<Turn, Error> {
    let reference = &job.spec.machine_ref;
    let jobs: Api<Job> = Api::all(context.client.clone());
    let same = ListParams::default().fields(&format!("spec.machineRef.name={}", reference.name));
    let all = jobs.list(&same).await;
    let all = all.map_err(Error::listing("Jobs"))?;
    let server = server::of_bmc(&context.client, &reference.namespace, &reference.name).await?;
    let restored = server.as_ref().and_then(restored);
    let attempt = match &server {
        Some(server) => open_attempt(server, context).await?,
        None => None,
    };
    Ok(turn(job, &all.items, attempt.as_ref(), restored.as_deref()))
}

/// Why a machine is not powered whose record is from a backup.
fn restored(server: &Server) -> Option<String> {
    let restored = server.spec.restored.as_ref()?;
    let name = server.name_any();
    Some(format!(
        "{name} was {restored}; waits until its BMC says that it is off, or until a person trusts the records: gantry verify \
         server {name}"
    ))
}

/// The attempt of a server that is under way. One whose Workflow was deleted or has ended is over, whether or not
/// somebody has closed it.
async fn open_attempt(server: &Server, context: &Context) -> Result<Option<OpenAttempt>, Error> {
    let Some(attempt) = server.spec.attempt.as_ref().filter(|attempt| !attempt.closed) else {
        return Ok(None);
    };
    let namespace = server.namespace().unwrap_or_default();
    let workflows: Api<Workflow> = Api::namespaced(context.client.clone(), &namespace);
    let found = workflows.get_opt(&attempt.workflow).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Workflow",
        name: attempt.workflow.clone(),
        source,
    })?;
    let ended = |workflow: &Workflow| {
        let state = workflow.status.as_ref().and_then(|status| status.state);
        state.is_some_and(WorkflowState::is_terminal)
    };
    Ok(found.filter(|workflow| !ended(workflow)).map(|_| OpenAttempt {
        server: server.name_any(),
        workflow: attempt.workflow.clone(),
    }))
}

fn new_task(job: &Job, machine: &Machine, index: usize) -> Task {
    let (namespace, name) = place(job);
    let spec = TaskSpec {
        task: job.spec.tasks.get(index).cloned().unwrap_or_default(),
        connection: machine.spec.connection.clone(),
    };
    let mut task = Task::new(&task_name(&name, index), spec);
    task.metadata.namespace = Some(namespace);
    task.metadata.labels = Some([(OWNER.to_owned(), name)].into());
    task.metadata.owner_references = job.controller_owner_ref(&()).map(|owner| vec![owner]);
    task
}

/// Not begun: no start time, only the reason.
async fn waits(job: &Job, context: &Context, reason: String) -> Result<(), Error> {
    let status = JobStatus {
        conditions: conditions(ConditionKind::Running, None),
        ..JobStatus::default()
    };
    let mut status = status;
    for condition in &mut status.conditions {
        condition.status = "False".to_owned();
        condition.message = Some(reason.clone());
    }
    write(job, context, status).await
}

async fn running(job: &Job, context: &Context, message: String) -> Result<(), Error> {
    let started = job.status.as_ref().and_then(|status| status.start_time.clone());
    let status = JobStatus {
        conditions: conditions(ConditionKind::Running, Some(message)),
        start_time: started.or_else(|| Some(now())),
        completion_time: None,
    };
    write(job, context, status).await
}

async fn end(
    job: &Job,
    context: &Context,
    phase: ConditionKind,
    message: Option<String>,
) -> Result<Action, Error> {
    let started = job.status.as_ref().and_then(|status| status.start_time.clone());
    let why = message.clone().filter(|_| phase == ConditionKind::Failed);
    let status = JobStatus {
        conditions: conditions(phase, message),
        start_time: started.or_else(|| Some(now())),
        completion_time: Some(now()),
    };
    write(job, context, status).await?;
    if let Some(why) = why {
        alarms::job_failed(&context.client, job, &why).await;
    }
    Ok(Action::await_change())
}

/// Unchanged status is not written: the write would wake this controller again.
async fn write(job: &Job, context: &Context, status: JobStatus) -> Result<(), Error> {
    if job.status.as_ref() == Some(&status) {
        return Ok(());
    }
    apply(&context.client, job, &status).await
}
