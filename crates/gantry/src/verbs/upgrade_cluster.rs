//! `gantry upgrade cluster -f FILE`: what changes of a cluster that has machines, and the change itself; `gantry upgrade plan
//! cluster -f FILE` only says it.

use clap::Args;
use cluster_spec::{ChangeEffect, FieldChange, update, versions_between};
use kube::{Client, ResourceExt as _};
use resources::anywhere::Cluster;
use resources::keys;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::verbs::cluster_files::{Checked, ClusterFiles, current};
use crate::verbs::rollout::{MachineGates, upgrade_gates};
use crate::verbs::watching::{Approval, Watching};
use crate::{connection, output};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry upgrade plan cluster -f prod.yaml\n  gantry upgrade cluster -f prod.yaml --yes"
)]
pub(crate) struct UpgradeClusterArgs {
    #[command(flatten)]
    files: ClusterFiles,
    /// Carry the plan out without asking.
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanClusterArgs {
    /// EKS Anywhere YAML as it is to be.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: std::path::PathBuf,
}

pub(crate) async fn run(global: &Global, args: &UpgradeClusterArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let files = &args.files;
    let checked = files.read(&client).await?;
    let changes = changes(&client, &checked).await?;
    lines(&changes).iter().for_each(output::note);
    refuse(&changes)?;
    let watching = Watching {
        client: &client,
        checked: &checked,
        files,
        again: format!("gantry upgrade cluster -f {}", files.file.display()),
        log: format!("{}-upgrade.log", checked.bundle.name()),
        approval: if args.yes { Approval::Given } else { Approval::Ask },
    };
    watching.apply_and_watch().await
}

pub(crate) async fn plan(global: &Global, args: &PlanClusterArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let checked = ClusterFiles::only(&args.file).read(&client).await?;
    let changes = changes(&client, &checked).await?;
    lines(&changes).iter().for_each(output::line);
    let cluster = &checked.bundle.cluster;
    let known = upgrade_gates(&client, &checked.namespace, &cluster.name_any()).await?;
    gate_lines(cluster, &known).iter().for_each(output::line);
    refuse(&changes)
}

/// Which upgrade gates are run after each machine that is replaced, and how those of the last rollout went.
fn gate_lines(cluster: &Cluster, known: &[MachineGates]) -> Vec<String> {
    let named = cluster.annotations().get(keys::UPGRADE_GATES);
    let named = named.map(|named| format!("upgrade gates after each machine that is replaced: {named}"));
    let known = known
        .iter()
        .map(|gates| format!("upgrade gates after {}: {}", gates.machine, gates.message));
    named.into_iter().chain(known).collect()
}

/// The fields that differ from what the cluster's machines are made from.
async fn changes(client: &Client, checked: &Checked) -> Outcome<Vec<FieldChange>> {
    let name = checked.bundle.name();
    let Some(known) = current(client, checked).await? else {
        return Err(Failure::BadInput(format!(
            "there is no cluster {name} with machines in {}; create it with: gantry create cluster -f FILE",
            checked.namespace
        )));
    };
    Ok(update(&known, &checked.bundle, &checked.releases).changed)
}

fn lines(changes: &[FieldChange]) -> Vec<String> {
    if changes.is_empty() {
        return vec!["nothing changes".to_owned()];
    }
    let line = |change: &FieldChange| {
        let value = |text: &str| match text.is_empty() {
            true => "(none)".to_owned(),
            false => text.to_owned(),
        };
        let effect = match change.effect {
            ChangeEffect::NewMachines => "machines are replaced",
            ChangeEffect::InPlace => "carried out without new machines",
            ChangeEffect::None => "no effect",
            ChangeEffect::Refused => "refused",
        };
        format!(
            "{} {}: {}: {} -> {} ({effect})",
            change.kind,
            change.name,
            change.path,
            value(&change.old),
            value(&change.new)
        )
    };
    let through = |change: &FieldChange| {
        let version = |text: &str| text.trim_matches('"').to_owned();
        let is_version =
            change.path == "spec.kubernetesVersion" && change.effect == ChangeEffect::NewMachines;
        let between = versions_between(&version(&change.old), &version(&change.new));
        (is_version && !between.is_empty()).then(|| {
            format!(
                "Kubernetes goes through {} first: machines are replaced for each of these versions, by a plan of its own",
                between.join(", ")
            )
        })
    };
    changes
        .iter()
        .flat_map(|change| [Some(line(change)), through(change)])
        .flatten()
        .collect()
}

fn refuse(changes: &[FieldChange]) -> Outcome {
    match changes
        .iter()
        .any(|change| change.effect == ChangeEffect::Refused)
    {
        true => Err(Failure::BadInput(
            "some of the changes are refused, so nothing is changed; put the old values back".to_owned(),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_said_beside_the_changes() {
        let mut cluster = Cluster::new("prod", Default::default());
        assert_eq!(gate_lines(&cluster, &[]), [""; 0]);
        cluster
            .annotations_mut()
            .insert(keys::UPGRADE_GATES.to_owned(), "shop/check".to_owned());
        let gates = MachineGates {
            machine: "prod-cp-1".to_owned(),
            holds: "False".to_owned(),
            message: "Job shop/gantry-gate-1 of CronJob check has failed: too often".to_owned(),
        };
        assert_eq!(
            gate_lines(&cluster, &[gates]),
            [
                "upgrade gates after each machine that is replaced: shop/check",
                "upgrade gates after prod-cp-1: Job shop/gantry-gate-1 of CronJob check has failed: too often"
            ]
        );
    }

    #[test]
    fn changes_are_said_with_their_effect() {
        let change = |new: &str, effect| FieldChange {
            kind: "Cluster",
            name: "prod".to_owned(),
            path: "spec.kubernetesVersion".to_owned(),
            old: "\"1.34\"".to_owned(),
            new: new.to_owned(),
            effect,
        };
        assert_eq!(lines(&[]), ["nothing changes"]);
        assert_eq!(
            lines(&[change("\"1.35\"", ChangeEffect::NewMachines)]),
            ["Cluster prod: spec.kubernetesVersion: \"1.34\" -> \"1.35\" (machines are replaced)"]
        );
        let lines = lines(&[change("\"1.37\"", ChangeEffect::NewMachines)]);
        assert!(
            lines[1].starts_with("Kubernetes goes through 1.35, 1.36 first:"),
            "{lines:?}"
        );
        assert!(refuse(&[change("\"1.35\"", ChangeEffect::NewMachines)]).is_ok());
        assert!(refuse(&[change("", ChangeEffect::Refused)]).is_err());
    }
}
