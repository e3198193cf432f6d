//! `gantry upgrade pause NAME`, `gantry upgrade resume NAME` and `gantry upgrade retry NAME`: whether machines of a cluster that
//! work are exchanged, and whether the upgrade gates that have failed are run once more. Both are annotations of the Cluster, so
//! that kubectl and GitOps can write them too.

use clap::Args;
use kube::api::{Api, ListParams, Patch};
use kube::{Client, ResourceExt as _};
use resources::anywhere::Cluster;
use resources::cluster_api::Machine;
use resources::conditions::UPGRADE_GATES_PASSED;
use resources::keys;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::{connection, output};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry upgrade pause prod\n  gantry upgrade pause prod --reason 'no changes before Monday'"
)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    cluster: RolloutArgs,
    /// Why, for those who look at the cluster.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RolloutArgs {
    /// Name of the cluster.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

/// Pauses the exchange of machines.
pub(crate) async fn pause(global: &Global, args: &PauseArgs) -> Outcome {
    let user = std::env::var("USER").ok();
    let text = annotation(user.as_deref(), args.reason.as_deref());
    let RolloutArgs { name, .. } = &args.cluster;
    write(global, &args.cluster, Some(&text)).await?;
    output::line(format!(
        "{name}: no machine that works is exchanged until: gantry upgrade resume {name}"
    ));
    Ok(())
}

/// Goes on with the exchange of machines.
pub(crate) async fn resume(global: &Global, args: &RolloutArgs) -> Outcome {
    let name = &args.name;
    match write(global, args, None).await? {
        true => output::line(format!(
            "{name}: machines are exchanged again; to watch: gantry explain {name}"
        )),
        false => output::line(format!("{name}: its rollout is not paused")),
    }
    Ok(())
}

/// Has the upgrade gates that have failed run once more.
pub(crate) async fn retry(global: &Global, args: &RolloutArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let (name, namespace) = (&args.name, &args.namespace);
    cluster(&client, args).await?;
    let gates = upgrade_gates(&client, namespace, name).await?;
    if gates.iter().all(|gate| gate.holds != "False") {
        return Err(Failure::text(format!(
            "no upgrade gate of {name} has failed; to see what it waits for: gantry explain {name}"
        )));
    }
    let asked = jiff::Timestamp::now().to_string();
    annotate(&client, args, keys::GATES_RETRY, Some(&asked)).await?;
    output::line(format!(
        "{name}: the upgrade gates that have failed are run once more within a minute; to watch: gantry explain {name}"
    ));
    Ok(())
}

/// How the upgrade gates went after a machine joined.
pub(crate) struct MachineGates {
    pub(crate) machine: String,
    /// `True`, `False` or `Unknown`.
    pub(crate) holds: String,
    pub(crate) message: String,
}

/// How the upgrade gates of a cluster went, by machine.
pub(crate) async fn upgrade_gates(
    client: &Client,
    namespace: &str,
    cluster: &str,
) -> Outcome<Vec<MachineGates>> {
    let machines: Api<Machine> = Api::namespaced(client.clone(), namespace);
    let of_cluster = ListParams::default().labels(&format!("{}={cluster}", keys::CLUSTER_NAME));
    let machines = machines.list(&of_cluster).await?;
    let gates = machines.iter().filter_map(|machine| {
        let mut conditions = machine.status.as_ref()?.conditions.iter();
        let known = conditions.find(|known| known.type_ == UPGRADE_GATES_PASSED)?;
        Some(MachineGates {
            machine: machine.name_any(),
            holds: known.status.clone(),
            message: known.message.clone(),
        })
    });
    Ok(gates.collect())
}

/// Who, and why.
fn annotation(user: Option<&str>, reason: Option<&str>) -> String {
    let user = user.filter(|user| !user.is_empty());
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    match (user, reason) {
        (Some(user), Some(reason)) => format!("{user}: {reason}"),
        (Some(user), None) => user.to_owned(),
        (None, Some(reason)) => format!("somebody: {reason}"),
        (None, None) => "true".to_owned(),
    }
}

/// Writes the annotation that pauses, or takes it away. Tells whether it was there.
async fn write(global: &Global, args: &RolloutArgs, text: Option<&str>) -> Outcome<bool> {
    let client = connection::connect(global).await?;
    let known = cluster(&client, args).await?;
    annotate(&client, args, keys::ROLLOUT_PAUSED, text).await?;
    Ok(known.annotations().contains_key(keys::ROLLOUT_PAUSED))
}

async fn cluster(client: &Client, args: &RolloutArgs) -> Outcome<Cluster> {
    let RolloutArgs { name, namespace } = args;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), namespace);
    let known = clusters.get_opt(name).await?;
    known.ok_or_else(|| {
        Failure::text(format!(
            "there is no cluster {name} in {namespace}; see: gantry get clusters -A"
        ))
    })
}

async fn annotate(client: &Client, args: &RolloutArgs, key: &str, text: Option<&str>) -> Outcome {
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), &args.namespace);
    let patch = json!({ "metadata": { "annotations": { key: text } } });
    let params = connection::patch_params();
    clusters.patch(&args.name, &params, &Patch::Merge(patch)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::annotation;

    #[test]
    fn who_pauses_and_why() {
        let cases = [
            (
                Some("alice"),
                Some("no changes before Monday"),
                "alice: no changes before Monday",
            ),
            (Some("alice"), None, "alice"),
            (Some(""), Some(" disks "), "somebody: disks"),
            (None, Some(" "), "true"),
        ];
        for (user, reason, text) in cases {
            assert_eq!(annotation(user, reason), text);
        }
    }
}
