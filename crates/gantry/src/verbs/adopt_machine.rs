//! `gantry adopt machine NODE`: a node that no machine stands for becomes a machine of its cluster, as after a restore of a backup
//! that does not know it. The wish is a field of the ControlPlane; the coordinator and the driver of the host do the rest.

use std::time::Duration;

use clap::Args;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch};
use resources::cluster_api::Machine;
use resources::gantry::{Adoption, ControlPlane};
use resources::keys;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::{connection, output};

/// How long the outcome is waited for: as long as the driver waits for evidence, and a little.
const PATIENCE: Duration = Duration::from_secs(12 * 60);
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(
    after_help = "The server is the one that the node's providerID names. It is taken only if nobody has it, name and address of the \
                  node are those of its Hardware, and the UUID of the node's machine is the one that the BMC, or an installer, has \
                  told.\n\nExamples:\n  gantry adopt machine node-7 --cluster prod\n  gantry adopt machine node-7 --cluster prod \
                  --group md-1"
)]
pub(crate) struct AdoptArgs {
    /// Name of the node in its cluster.
    node: String,
    /// Name of the cluster.
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// Worker node group that it becomes part of, where the cluster has several.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Return once the wish is written.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(global: &Global, args: &AdoptArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let api: Api<ControlPlane> = Api::namespaced(client.clone(), &args.namespace);
    find(&api, args).await?;
    // One that was refused before is asked for once more.
    let wish = json!({ "pool": args.group, "refused": null });
    write(&api, args, wish).await?;
    let (node, cluster) = (&args.node, &args.cluster);
    if args.no_wait {
        output::line(format!(
            "{node}: is to be adopted; to watch: gantry explain {cluster}"
        ));
        return Ok(());
    }
    let mut last_wait = None;
    let wait = async {
        loop {
            let known = find(&api, args).await?;
            match known.spec.adoptions.get(node) {
                None => return Ok(()),
                Some(Adoption {
                    refused: Some(reason),
                    ..
                }) => {
                    write(&api, args, Value::Null).await?;
                    return Err(Failure::text(format!("{node} is not adopted: {reason}")));
                }
                Some(_) => {}
            }
            let reason = known.status.and_then(|mut status| status.adoptions.remove(node));
            if reason != last_wait {
                reason
                    .iter()
                    .for_each(|reason| output::note(format!("{node}: {reason}")));
                last_wait = reason;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(Failure::text(format!(
                "{node} is not adopted yet; it goes on, to watch: gantry explain {cluster}"
            )));
        }
    }
    let machines: Api<Machine> = Api::namespaced(client, &args.namespace);
    let of_cluster = ListParams::default().labels(&format!("{}={cluster}", keys::CLUSTER_NAME));
    let machines = machines.list(&of_cluster).await?;
    let is_its = |machine: &&Machine| {
        let status = machine.status.as_ref();
        let node_ref = status.and_then(|status| status.node_ref.as_ref());
        node_ref.is_some_and(|found| found.name == *node)
    };
    match machines.iter().find(is_its) {
        Some(machine) => output::line(format!("{node}: is machine {} of {cluster}", machine.name_any())),
        None => output::line(format!(
            "{node}: is a machine of {cluster}; to see it: gantry get machines -n {}",
            args.namespace
        )),
    }
    Ok(())
}

async fn find(api: &Api<ControlPlane>, args: &AdoptArgs) -> Outcome<ControlPlane> {
    api.get_opt(&args.cluster).await?.ok_or_else(|| {
        Failure::text(format!(
            "there is no cluster {} in {} that has a control plane; see: gantry get clusters -A",
            args.cluster, args.namespace
        ))
    })
}

/// Writes the wish, or takes it away.
async fn write(api: &Api<ControlPlane>, args: &AdoptArgs, wish: Value) -> Outcome {
    let node = &args.node;
    let patch = json!({ "spec": { "adoptions": { node: wish } } });
    api.patch(&args.cluster, &connection::patch_params(), &Patch::Merge(patch))
        .await?;
    Ok(())
}
