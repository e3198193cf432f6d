//! `gantry retry machine NAME` and `gantry replace machine NAME`: what a person wants done about one machine of a cluster.

use clap::Args;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch};
use resources::cluster_api::{Machine, MachinePhase};
use resources::gantry::{ControlPlane, ProviderMachine};
use resources::keys;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::{connection, output};

#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// Name of the machine, as `gantry get machines` shows it.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

/// Lets another machine take the place of one that has failed, although the limit is reached.
pub(crate) async fn retry(global: &Global, args: &MachineArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let machine = machine(&client, args).await?;
    let is_saved = was_saved(&client, args, &machine).await?;
    let phase = machine.status.and_then(|status| status.phase);
    if phase != Some(MachinePhase::Failed) && !is_saved {
        let phase = phase.map_or_else(
            || "not seen by the coordinator yet".to_owned(),
            |phase| format!("{phase:?}"),
        );
        return Err(Failure::text(format!(
            "{} has not failed, it is {phase}; to put another machine in its place: gantry replace machine {}",
            args.name, args.name
        )));
    }
    let machines: Api<ProviderMachine> = Api::namespaced(client, &args.namespace);
    let patch = json!({ "spec": { "retry": jiff::Timestamp::now().to_string() } });
    let params = connection::patch_params();
    machines.patch(&args.name, &params, &Patch::Merge(patch)).await?;
    output::line(format!("{}: another machine takes its place", args.name));
    Ok(())
}

/// Whether the machine was the only member of its control plane, and the next one waits to start with its data.
async fn was_saved(client: &Client, args: &MachineArgs, machine: &Machine) -> Outcome<bool> {
    let control_planes: Api<ControlPlane> = Api::namespaced(client.clone(), &args.namespace);
    let found = control_planes.get_opt(&machine.spec.cluster_name).await?;
    let saved = found.and_then(|found| found.spec.saved_etcd);
    Ok(saved.is_some_and(|saved| saved.machine == args.name && saved.snapshot.is_some()))
}

/// Deletes the Machine, which asks for another one in its place.
pub(crate) async fn replace(global: &Global, args: &MachineArgs) -> Outcome {
    let client = connection::connect(global).await?;
    machine(&client, args).await?;
    let machines: Api<Machine> = Api::namespaced(client, &args.namespace);
    machines.delete(&args.name, &DeleteParams::default()).await?;
    output::line(format!(
        "{}: another machine takes its place; to watch: gantry explain {}",
        args.name, args.name
    ));
    Ok(())
}

async fn machine(client: &Client, args: &MachineArgs) -> Outcome<Machine> {
    let machines: Api<Machine> = Api::namespaced(client.clone(), &args.namespace);
    machines.get_opt(&args.name).await?.ok_or_else(|| {
        Failure::text(format!(
            "there is no machine {} in {}; see: gantry get machines -n {}",
            args.name, args.namespace, args.namespace
        ))
    })
}
