//! Upgrade gates of a real cluster: its CronJobs, Jobs and their pods.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::gates_view::{GateJob, GateJobState};
use super::last_words::last_words;
use crate::gates::{GateTemplate, NamespacedName};

/// Last lines of the log of a Job that has failed.
const LINES: i64 = 8;

/// The templates that are there of these.
pub(super) async fn templates(
    client: &Client,
    named: Vec<NamespacedName>,
) -> Result<BTreeMap<NamespacedName, GateTemplate>, kube::Error> {
    let mut found = BTreeMap::new();
    for name in named {
        let api: Api<CronJob> = Api::namespaced(client.clone(), &name.namespace);
        if let Some(job) = api.get_opt(&name.name).await? {
            found.insert(name, template(job));
        }
    }
    Ok(found)
}

fn template(job: CronJob) -> GateTemplate {
    let uid = job.uid().unwrap_or_default();
    let jobs = job.spec.map(|spec| spec.job_template).unwrap_or_default();
    let metadata = jobs.metadata.unwrap_or_default();
    GateTemplate {
        uid,
        labels: metadata.labels.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        spec: json!(jobs.spec.unwrap_or_default()),
    }
}

/// The Jobs that are there of these.
pub(super) async fn jobs(
    client: &Client,
    named: Vec<NamespacedName>,
) -> Result<BTreeMap<NamespacedName, GateJob>, kube::Error> {
    let mut found = BTreeMap::new();
    for name in named {
        let api: Api<Job> = Api::namespaced(client.clone(), &name.namespace);
        let Some(job) = api.get_opt(&name.name).await? else {
            continue;
        };
        let state = match ended(&job) {
            None => GateJobState::Running(waits(client, &name, &job).await?),
            Some(Ok(())) => GateJobState::Succeeded,
            Some(Err(why)) => GateJobState::Failed(format!("{why}; {}", last_lines(client, &name).await)),
        };
        let limit = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        let known = GateJob {
            created: job.creation_timestamp().map(|time| time.0).unwrap_or_default(),
            limit_seconds: limit.unwrap_or_default(),
            state,
        };
        found.insert(name, known);
    }
    Ok(found)
}

/// Whether a Job has succeeded, or why it has failed; `None` before its end.
fn ended(job: &Job) -> Option<Result<(), String>> {
    let conditions = job.status.as_ref()?.conditions.as_deref()?;
    let holds = |kind: &str| {
        let mut conditions = conditions.iter();
        conditions.find(|known| known.type_ == kind && known.status == "True")
    };
    if holds("Complete").is_some() {
        return Some(Ok(()));
    }
    let failed = holds("Failed")?;
    let why = [failed.reason.as_deref(), failed.message.as_deref()];
    let why: Vec<&str> = why.into_iter().flatten().collect();
    Some(Err(last_words(&why.join(": "))))
}

/// The pod of a Job that was made last.
async fn newest_pod(client: &Client, job: &NamespacedName) -> Result<Option<Pod>, kube::Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &job.namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", job.name));
    let pods = api.list(&of_job).await?.items.into_iter();
    Ok(pods.max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0)))
}

/// What a Job waits for that does not run.
async fn waits(client: &Client, name: &NamespacedName, job: &Job) -> Result<Option<String>, kube::Error> {
    if job.metadata.deletion_timestamp.is_some() {
        return Ok(Some("it is being deleted".to_owned()));
    }
    let pod = newest_pod(client, name).await?;
    Ok(pod.as_ref().and_then(pod_waits))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let others = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(others).flatten()
}

/// Why a pod does not run: no node takes it, or one of its containers can't be started.
fn pod_waits(pod: &Pod) -> Option<String> {
    let said = |reason: Option<&str>, message: Option<&str>| {
        let parts: Vec<&str> = [reason, message].into_iter().flatten().collect();
        Some(last_words(&parts.join(": "))).filter(|text| !text.is_empty())
    };
    let waiting = containers(pod).find_map(|container| container.state.as_ref()?.waiting.as_ref());
    if let Some(waiting) = waiting {
        return said(waiting.reason.as_deref(), waiting.message.as_deref());
    }
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let is_refused = |kind: &str, status: &str| kind == "PodScheduled" && status == "False";
    let mut conditions = conditions.iter();
    let refused = conditions.find(|known| is_refused(&known.type_, &known.status))?;
    said(refused.reason.as_deref(), refused.message.as_deref())
}

/// The container that has failed, else the first one.
fn failed_container(pod: &Pod) -> Option<String> {
    let failed = containers(pod).find(|container| {
        let ended = container
            .state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.exit_code != 0)
    });
    let name = failed.map(|container| container.name.clone());
    name.or_else(|| Some(pod.spec.as_ref()?.containers.first()?.name.clone()))
}

/// The end of the log of a Job that has failed, for people.
async fn last_lines(client: &Client, job: &NamespacedName) -> String {
    let pod = match newest_pod(client, job).await {
        Ok(Some(pod)) => pod,
        Ok(None) => {
            return "none of its pods is left; with restartPolicy Never one that has failed stays".to_owned();
        }
        Err(error) => return format!("its pods can't be read: {}", causes::line(&error)),
    };
    let name = pod.name_any();
    if let Some(why) = pod_waits(&pod) {
        return format!("pod {name} waits: {why}");
    }
    let params = LogParams {
        container: failed_container(&pod),
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    let api: Api<Pod> = Api::namespaced(client.clone(), &job.namespace);
    match api.logs(&name, &params).await {
        Ok(text) if text.trim().is_empty() => format!("pod {name} has written nothing"),
        Ok(text) => format!("pod {name} wrote last: {}", last_words(text.trim_end())),
        Err(error) => format!("the log of pod {name} can't be read: {}", causes::line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn conditions_say_how_a_job_has_ended() {
        let of = |status: Value| {
            let job = json!({ "metadata": { "name": "x" }, "status": status });
            ended(&serde_json::from_value(job).unwrap())
        };
        let condition = |kind: &str, status: &str| {
            let one = json!({ "type": kind, "status": status, "reason": "BackoffLimitExceeded", "message": "too often" });
            json!({ "conditions": [one] })
        };
        assert_eq!(of(json!({ "active": 1 })), None);
        // Its pods are still to be ended.
        assert_eq!(of(condition("FailureTarget", "True")), None);
        assert_eq!(of(condition("SuccessCriteriaMet", "True")), None);
        assert_eq!(of(condition("Failed", "False")), None);
        assert_eq!(of(condition("Complete", "True")), Some(Ok(())));
        let why = "BackoffLimitExceeded: too often".to_owned();
        assert_eq!(of(condition("Failed", "True")), Some(Err(why)));
    }

    fn pod(status: Value) -> Pod {
        let spec = json!({ "containers": [{ "name": "check" }, { "name": "other" }] });
        serde_json::from_value(json!({ "metadata": { "name": "x" }, "spec": spec, "status": status }))
            .unwrap()
    }

    fn container(name: &str, state: Value) -> Value {
        json!({ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state })
    }

    #[test]
    fn a_pod_says_why_it_does_not_run() {
        let refused = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes" });
        let status = json!({ "phase": "Pending", "conditions": [refused] });
        assert_eq!(
            pod_waits(&pod(status)).as_deref(),
            Some("Unschedulable: 0/2 nodes")
        );
        let waiting = container("check", json!({ "waiting": { "reason": "ErrImagePull" } }));
        let status = json!({ "phase": "Pending", "containerStatuses": [waiting] });
        assert_eq!(pod_waits(&pod(status)).as_deref(), Some("ErrImagePull"));
        let running = container("check", json!({ "running": {} }));
        let status = json!({ "phase": "Running", "containerStatuses": [running] });
        assert_eq!(pod_waits(&pod(status)), None);
        assert_eq!(pod_waits(&pod(json!({}))), None);
    }

    #[test]
    fn the_log_is_that_of_the_container_that_has_failed() {
        let ended = |name: &str, code: i32| container(name, json!({ "terminated": { "exitCode": code } }));
        let status = json!({ "containerStatuses": [ended("check", 0), ended("other", 1)] });
        assert_eq!(failed_container(&pod(status)).as_deref(), Some("other"));
        let status = json!({ "initContainerStatuses": [ended("first", 2)], "containerStatuses": [] });
        assert_eq!(failed_container(&pod(status)).as_deref(), Some("first"));
        assert_eq!(failed_container(&pod(json!({}))).as_deref(), Some("check"));
    }
}
