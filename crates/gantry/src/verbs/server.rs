//! `gantry quarantine server`, `gantry retry server` and `gantry verify server`: what a person knows about a server.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch};
use resources::gantry::{Quarantine, Server};
use resources::tinkerbell::{Workflow, WorkflowState};
use resources::{Time, keys};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::{connection, output};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry quarantine server node-a --reason 'fan replaced on Monday'\n  gantry quarantine server \
                  node-a --end"
)]
pub(crate) struct QuarantineArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Why, for whoever asks later.
    #[arg(long, value_name = "TEXT", required_unless_present = "end")]
    reason: Option<String>,
    /// You are done with the server: it may be given back and taken again.
    #[arg(long, conflicts_with = "reason")]
    end: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Name of the server, as `gantry get servers` shows it.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = "After a restore of the appliance: what its records say of these servers is right, so they may be powered and \
                  installed again.\nA free server is taken then by the next machine that wants one, and loses what is on its \
                  disks.\n\nExamples:\n  gantry verify server node-a node-b\n  gantry verify server --all"
)]
pub(crate) struct VerifyArgs {
    /// Names of the servers, as `gantry get servers` shows them.
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    /// All servers of the namespace, and those whose hardware is imported later.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

/// Removes the mark of a restore.
pub(crate) async fn verify(global: &Global, args: &VerifyArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let servers: Api<Server> = Api::namespaced(client.clone(), &args.namespace);
    let known = servers.list(&ListParams::default()).await?;
    let known: BTreeMap<String, Server> = known
        .into_iter()
        .map(|server| (server.name_any(), server))
        .collect();
    if let Some(name) = args.names.iter().find(|name| !known.contains_key(*name)) {
        return Err(unknown(name, &args.namespace));
    }
    if args.all {
        let mark = json!({ "metadata": { "annotations": { keys::RESTORED: null } } });
        let namespaces: Api<Namespace> = Api::all(client);
        let patch = Patch::Merge(mark);
        namespaces
            .patch(&args.namespace, &connection::patch_params(), &patch)
            .await?;
    }
    let mut any = false;
    for (name, server) in &known {
        let is_meant = args.all || args.names.contains(name);
        if is_meant && server.spec.restored.is_some() {
            set(&servers, name, "restored", &Value::Null).await?;
            output::line(format!("{name}: its records count again"));
            any = true;
        }
    }
    if !any {
        output::note("nothing to do: the records of these servers count already");
    }
    Ok(())
}

/// Keeps a server for inspection, or ends that.
pub(crate) async fn quarantine(global: &Global, args: &QuarantineArgs) -> Outcome {
    let (servers, server) = find(global, &args.server).await?;
    let name = &args.server.name;
    let Some(reason) = &args.reason else {
        if server.spec.quarantine.is_none() {
            return Err(Failure::text(format!("{name} is not in quarantine")));
        }
        set(&servers, name, "quarantine", &Value::Null).await?;
        output::line(format!("{name}: quarantine ended"));
        return Ok(());
    };
    if reason.trim().is_empty() {
        return Err(Failure::text("--reason must say something"));
    }
    let quarantine = Quarantine {
        reason: reason.clone(),
        at: Some(Time(Timestamp::now())),
    };
    set(&servers, name, "quarantine", &serde_json::to_value(quarantine)?).await?;
    let what = match &server.spec.claim {
        None => "no machine takes it".to_owned(),
        Some(claim) => format!(
            "{} keeps it; when that is replaced or deleted, the server is powered off and kept",
            claim.name
        ),
    };
    output::line(format!(
        "{name}: in quarantine, {what}; to end it: gantry quarantine server {name} --end"
    ));
    Ok(())
}

/// Lets a server be chosen as if its earlier installations had not failed, and a wipe that failed be tried again.
pub(crate) async fn retry(global: &Global, args: &ServerArgs) -> Outcome {
    let (servers, server) = find(global, args).await?;
    let name = &args.name;
    let workflows: Api<Workflow> = Api::namespaced(servers.clone().into_client(), &args.namespace);
    let workflows = workflows.list(&ListParams::default()).await?.items;
    let said = match (&server.spec.last_failure, failed_wipe(&server, &workflows)) {
        (_, Some(owner)) => format!("{name}: the wipe is tried again, before {owner} gives the server back"),
        (Some(failure), None) => format!(
            "{name}: chosen like any other server again, although attempt {} failed ({})",
            failure.attempt, failure.reason
        ),
        (None, None) => {
            return Err(Failure::text(format!(
                "neither an installation of {name} has failed since the last one that succeeded, nor a wipe: there is nothing \
                 to try again"
            )));
        }
    };
    set(
        &servers,
        name,
        "retryRequestedAt",
        &json!(Timestamp::now().to_string()),
    )
    .await?;
    output::line(said);
    Ok(())
}

/// The owner whose last wipe of the server has failed. The server itself tells of its last attempt alone, which may be one to
/// look at the machine because of that.
fn failed_wipe<'a>(server: &'a Server, workflows: &[Workflow]) -> Option<&'a str> {
    let owner = server.spec.claim.as_ref()?.name.as_str();
    let prefix = format!("{owner}-wipe-");
    let number = |workflow: &Workflow| workflow.name_any().strip_prefix(&prefix)?.parse::<u32>().ok();
    let wipes = workflows
        .iter()
        .filter_map(|workflow| Some((number(workflow)?, workflow)));
    let (_, last) = wipes.max_by_key(|(number, _)| *number)?;
    let state = last.status.as_ref()?.state?;
    matches!(state, WorkflowState::Failed | WorkflowState::Timeout).then_some(owner)
}

async fn find(global: &Global, args: &ServerArgs) -> Outcome<(Api<Server>, Server)> {
    let client = connection::connect(global).await?;
    let servers: Api<Server> = Api::namespaced(client, &args.namespace);
    let server = servers.get_opt(&args.name).await?;
    let server = server.ok_or_else(|| unknown(&args.name, &args.namespace))?;
    Ok((servers, server))
}

fn unknown(name: &str, namespace: &str) -> Failure {
    Failure::text(format!(
        "there is no server {name} in {namespace}; see: gantry get servers -A"
    ))
}

async fn set(servers: &Api<Server>, name: &str, field: &str, value: &Value) -> Outcome {
    let patch = json!({ "spec": { field: value } });
    let params = connection::patch_params();
    servers.patch(name, &params, &Patch::Merge(patch)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_has_failed_by_the_last_one_of_the_owner_whatever_came_after_it() {
        let server = |claim: Value| -> Server {
            serde_json::from_value(json!({
                "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-a"},
                "spec": {"machineId": "m", "hardware": "node-a", "claim": claim,
                    "attempt": {"number": 7, "workflow": "rescue-node-a-1", "purpose": "inspect"}},
                "status": {"state": "claimed"},
            }))
            .unwrap()
        };
        let kept = server(json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": "n"}));
        let workflow = |name: &str, state: &str| -> Workflow {
            serde_json::from_value(json!({
                "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": {},
                "status": {"state": state},
            }))
            .unwrap()
        };
        let failed = |wipes: &[(&str, &str)]| {
            let workflows: Vec<Workflow> = wipes.iter().map(|(name, state)| workflow(name, state)).collect();
            failed_wipe(&kept, &workflows).map(str::to_owned)
        };
        let prod = Some("prod-1".to_owned());
        assert_eq!(
            failed(&[("prod-1-wipe-9", "SUCCESS"), ("prod-1-wipe-10", "FAILED")]),
            prod
        );
        assert_eq!(failed(&[("prod-1-wipe-1", "TIMEOUT")]), prod);
        for none in [
            &[("prod-1-wipe-1", "FAILED"), ("prod-1-wipe-2", "RUNNING")][..],
            &[("prod-10-wipe-1", "FAILED"), ("prod-1-1", "FAILED")],
            &[],
        ] {
            assert_eq!(failed(none), None, "{none:?}");
        }
        let wipes = [workflow("prod-1-wipe-1", "FAILED")];
        assert_eq!(failed_wipe(&server(Value::Null), &wipes), None);
    }
}
