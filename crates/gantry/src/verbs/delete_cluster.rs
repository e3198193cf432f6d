//! `gantry delete cluster NAME`: say what goes and ask, delete the object, then watch its machines being given back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::{Client, ResourceExt as _};
use resources::anywhere::Cluster;
use resources::gantry::{MachineRole, ProviderMachine, Server, ServerState};
use resources::keys;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::progress::{Screen, view};
use crate::snapshot::Snapshot;
use crate::verbs::eksa_flags::DeleteFlags;
use crate::{connection, output};

const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry delete cluster prod\n  gantry delete cluster -f prod.yaml --yes")]
pub(crate) struct DeleteClusterArgs {
    /// Name of the cluster.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Take the name from this YAML file.
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Return once the deletion is asked for.
    #[arg(long)]
    no_wait: bool,
    /// Delete without asking.
    #[arg(short = 'y', long)]
    yes: bool,
    #[command(flatten)]
    pub(crate) eksa: DeleteFlags,
}

pub(crate) async fn run(global: &Global, args: &DeleteClusterArgs) -> Outcome {
    args.eksa.judge().settle()?.iter().for_each(output::note);
    let name = match (&args.name, &args.file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => name_in(file)?,
        (None, None) => return Err(Failure::BadInput("name a cluster".to_owned())),
    };
    let client = connection::connect(global).await?;
    delete(&client, args, &name).await?;
    if args.no_wait {
        output::line(format!("{name}: being deleted"));
        return Ok(());
    }
    let mut screen = Screen::new(None);
    let mut hosts = BTreeSet::new();
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        let snapshot = Snapshot::progress(&client, &args.namespace).await?;
        let machines = snapshot.provider_machines_of(&name);
        let host_names = machines
            .iter()
            .filter_map(|machine| machine.status.as_ref()?.host.clone());
        hosts.extend(host_names);
        if snapshot.cluster(&name).is_none() && machines.is_empty() && !is_settling(&snapshot.servers, &hosts)
        {
            screen.end();
            output::line(format!("{name}: deleted{}", outcome(&snapshot.servers, &hosts)));
            return Ok(());
        }
        screen.show(&view(&snapshot, &name, Timestamp::now()));
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = &mut stop => {
                screen.end();
                return Err(Failure::Interrupted(format!("{name}: the deletion goes on without you")));
            }
        }
    }
}

/// Deletes the cluster that the person was shown, unless its deletion is under way.
async fn delete(client: &Client, args: &DeleteClusterArgs, name: &str) -> Outcome {
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), &args.namespace);
    let Some(cluster) = clusters.get_opt(name).await? else {
        return Err(missing(name, &args.namespace));
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: cluster.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    // What can't be deleted is refused before anybody is asked.
    refused(clusters.delete(name, &params.clone().dry_run()).await, name, args)?;
    if !args.yes {
        let snapshot = Snapshot::progress(client, &args.namespace).await?;
        plan(&snapshot, name).iter().for_each(output::note);
        output::agreed("delete", name, "This can't be undone. Go on? [y/N] ")?;
    }
    refused(clusters.delete(name, &params).await, name, args)
}

fn refused<T>(deleted: kube::Result<T>, name: &str, args: &DeleteClusterArgs) -> Outcome {
    match deleted {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(missing(name, &args.namespace)),
        // Clusters that name it as their management cluster.
        Err(kube::Error::Api(status)) if status.code == 422 => Err(Failure::BadInput(format!(
            "{}; nothing was changed",
            status.message
        ))),
        Err(kube::Error::Api(status)) if status.code == 409 => Err(Failure::text(format!(
            "{name} was deleted and made anew meanwhile; nothing was changed"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn missing(name: &str, namespace: &str) -> Failure {
    Failure::text(format!(
        "there is no cluster {name} in {namespace}; see: gantry get clusters -A"
    ))
}

/// What goes with the cluster.
fn plan(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let machines = snapshot.provider_machines_of(name);
    let line = |machine: &&ProviderMachine| {
        let role = match machine.spec.role {
            MachineRole::ControlPlane => "control plane",
            MachineRole::Worker => "worker",
        };
        let host = machine.status.as_ref().and_then(|status| status.host.as_deref());
        match host {
            Some(host) => format!(
                "  {} ({role}): {host} is powered off and given back",
                machine.name_any()
            ),
            None => format!("  {} ({role}): has no host", machine.name_any()),
        }
    };
    let head = match machines.len() {
        0 => format!("cluster {name} is deleted; it has no machines"),
        _ => format!("cluster {name} is deleted, with everything that runs on it:"),
    };
    std::iter::once(head).chain(machines.iter().map(line)).collect()
}

/// Whether one of these servers is still on its way from its owner to being free.
fn is_settling(servers: &[Server], hosts: &BTreeSet<String>) -> bool {
    let state = |server: &Server| server.status.as_ref().map(|status| status.state);
    servers
        .iter()
        .filter(|server| hosts.contains(&server.name_any()) && server.spec.claim.is_none())
        .any(|server| !matches!(state(server), Some(ServerState::Available | ServerState::Failed)))
}

/// What has become of the servers of the cluster: a clause for each that is no plain "off and free".
fn outcome(servers: &[Server], hosts: &BTreeSet<String>) -> String {
    let mut free = Vec::new();
    let mut others = Vec::new();
    for server in servers.iter().filter(|server| hosts.contains(&server.name_any())) {
        let status = server.status.clone().unwrap_or_default();
        let name = server.name_any();
        match (status.state, status.power.as_deref()) {
            (ServerState::Available, _) if server.spec.unwiped.is_some() => {
                others.push(format!("{name}: {}", status.reason.unwrap_or_default()));
            }
            (ServerState::Available, Some("off")) => free.push(format!("{name} (off)")),
            (ServerState::Available, _) => free.push(name),
            (_, _) => others.push(format!("{name}: {}", status.reason.unwrap_or_default())),
        }
    }
    let mut text = String::new();
    if !free.is_empty() {
        text.push_str("; free: ");
        text.push_str(&free.join(", "));
    }
    for other in others {
        text.push_str("\n  ");
        text.push_str(&other);
    }
    text
}

fn name_in(file: &std::path::Path) -> Outcome<String> {
    let bad = |reason: String| Failure::BadInput(format!("{}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    // Without the lines around the place: other documents of the file may be Secrets.
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| bad(error.without_snippet().to_string()))?;
    let cluster = documents.iter().find(|document| document["kind"] == "Cluster");
    let name = cluster.and_then(|cluster| cluster["metadata"]["name"].as_str());
    name.map(str::to_owned)
        .ok_or_else(|| bad("no Cluster with a name".to_owned()))
}

#[cfg(test)]
mod tests {
    use resources::gantry::{ProviderMachineSpec, ProviderMachineStatus};
    use serde_json::json;

    use super::*;

    fn server(name: &str, status: serde_json::Value) -> Server {
        serde_json::from_value(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name},
            "spec": {"machineId": "m", "hardware": name}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn every_machine_is_named_with_what_becomes_of_its_host() {
        let machine = |name: &str, role: MachineRole, host: Option<&str>| {
            let mut machine = ProviderMachine::new(
                name,
                ProviderMachineSpec {
                    cluster_name: "prod".to_owned(),
                    role,
                    ..ProviderMachineSpec::default()
                },
            );
            machine.status = Some(ProviderMachineStatus {
                host: host.map(str::to_owned),
                ..ProviderMachineStatus::default()
            });
            machine
        };
        let mut snapshot = Snapshot::default();
        assert_eq!(
            plan(&snapshot, "prod"),
            ["cluster prod is deleted; it has no machines"]
        );
        snapshot.provider_machines = vec![
            machine("prod-md-0-x", MachineRole::Worker, None),
            machine("prod-cp-y", MachineRole::ControlPlane, Some("node-a")),
        ];
        assert_eq!(
            plan(&snapshot, "prod"),
            [
                "cluster prod is deleted, with everything that runs on it:",
                "  prod-cp-y (control plane): node-a is powered off and given back",
                "  prod-md-0-x (worker): has no host",
            ]
        );
    }

    #[test]
    fn only_what_is_true_of_each_server_is_said() {
        let servers = [
            server("a", json!({"state": "available", "power": "off"})),
            server("b", json!({"state": "available"})),
            server("c", json!({"state": "failed", "reason": "quarantined: dead BMC"})),
            server("d", json!({"state": "running"})),
        ];
        let hosts = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            outcome(&servers, &hosts(&["a", "b", "c"])),
            "; free: a (off), b\n  c: quarantined: dead BMC"
        );
        assert_eq!(outcome(&servers, &BTreeSet::new()), "");
        let mut unwiped = server(
            "e",
            json!({"state": "available", "power": "off", "reason": "free; its disks hold keys"}),
        );
        let words = json!({"owner": "prod-1", "reason": "disk is gone", "at": "2026-01-01T00:00:00Z"});
        unwiped.spec.unwiped = Some(serde_json::from_value(words).unwrap());
        assert_eq!(
            outcome(&[unwiped], &hosts(&["e"])),
            "\n  e: free; its disks hold keys"
        );
        assert!(!is_settling(&servers, &hosts(&["a", "b", "c"])));
        let releasing = [server("a", json!({"state": "releasing"}))];
        assert!(is_settling(&releasing, &hosts(&["a"])));
    }
}
