//! `gantry upgrade pause NAME` and `gantry upgrade resume NAME`: whether machines of a cluster that work are exchanged. It is an
//! annotation of the Cluster, so that kubectl and GitOps can write it too.

use clap::Args;
use kube::ResourceExt as _;
use kube::api::{Api, Patch};
use resources::anywhere::Cluster;
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

/// Writes the annotation, or takes it away. Tells whether it was there.
async fn write(global: &Global, args: &RolloutArgs, text: Option<&str>) -> Outcome<bool> {
    let client = connection::connect(global).await?;
    let (name, namespace) = (&args.name, &args.namespace);
    let clusters: Api<Cluster> = Api::namespaced(client, namespace);
    let Some(known) = clusters.get_opt(name).await? else {
        return Err(Failure::text(format!(
            "there is no cluster {name} in {namespace}; see: gantry get clusters -A"
        )));
    };
    let patch = json!({ "metadata": { "annotations": { keys::ROLLOUT_PAUSED: text } } });
    let params = connection::patch_params();
    clusters.patch(name, &params, &Patch::Merge(patch)).await?;
    Ok(known.annotations().contains_key(keys::ROLLOUT_PAUSED))
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
