//! `gantry snapshot cluster NAME` and `gantry restore cluster NAME`: the data of a cluster's etcd, taken and put back.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::{Api, Patch};
use resources::anywhere::Cluster;
use resources::gantry::{ControlPlane, EtcdSnapshot, Plan, PlanPhase, PlanStepKind, SavedEtcd, SnapshotCopy};
use resources::{Time, keys};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::progress::plan_lines;
use crate::verbs::approve;
use crate::{connection, output, time};

/// How long a snapshot, or the plan of a restore, is waited for.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);
/// Letters of a digest that tell snapshots apart.
const SHORT: usize = "sha256:".len() + 12;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry snapshot cluster prod\n  gantry snapshot cluster prod --list")]
pub(crate) struct SnapshotArgs {
    /// Name of the cluster.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Print the snapshots that the appliance keeps, and take none.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry restore cluster prod\n  gantry restore cluster prod --snapshot sha256:4a0f35d29c11 --yes\n  gantry restore cluster prod --from s3://backup/gantry/eksa-system/prod/ID/FILE.sealed"
)]
pub(crate) struct RestoreArgs {
    /// Name of the cluster.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Digest of the snapshot, or its beginning; the newest one by default.
    #[arg(long, value_name = "sha256:HEX", conflicts_with = "from")]
    snapshot: Option<String>,
    /// A copy outside of the appliance, by its path or s3:// URL as `etcdSnapshotCopies` names it; for one that the appliance does
    /// not list.
    #[arg(long, value_name = "PATH|s3://BUCKET/KEY")]
    from: Option<String>,
    /// Carry the plan out without asking.
    #[arg(short = 'y', long)]
    yes: bool,
    /// Take the wish back, as long as its plan is not carried out.
    #[arg(long, conflicts_with_all = ["snapshot", "from", "yes"])]
    cancel: bool,
}

/// Asks for a snapshot and waits until it is there.
pub(crate) async fn take(global: &Global, args: &SnapshotArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let control_planes: Api<ControlPlane> = Api::namespaced(client.clone(), &args.namespace);
    let known = read(&control_planes, &args.name, &args.namespace).await?;
    if args.list {
        let now = Timestamp::now();
        let lines = known.spec.snapshots.iter().map(|snapshot| line(snapshot, now));
        lines.for_each(output::line);
        return Ok(());
    }
    let asked = Time(Timestamp::now());
    let patch = json!({ "spec": { "snapshotRequestedAt": asked } });
    let params = connection::patch_params();
    control_planes
        .patch(&args.name, &params, &Patch::Merge(patch))
        .await?;
    let wait = async {
        loop {
            let known = read(&control_planes, &args.name, &args.namespace).await?;
            // The appliance takes the request away with the snapshot that it has taken for it.
            let newest = known.spec.snapshots.last();
            if let Some(newest) = newest.filter(|_| known.spec.snapshot_requested_at.is_none()) {
                output::line(line(newest, Timestamp::now()));
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(taken) => taken,
        Err(_) => Err(Failure::text(format!(
            "{}: no snapshot yet: {}; see: gantry explain {}",
            args.name,
            why_not(&client, args).await?,
            args.name
        ))),
    }
}

/// Why there is no new snapshot, as the Cluster says.
async fn why_not(client: &Client, args: &SnapshotArgs) -> Outcome<String> {
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), &args.namespace);
    let conditions = clusters
        .get_opt(&args.name)
        .await?
        .and_then(|cluster| cluster.status);
    let conditions = conditions.map(|status| status.conditions).unwrap_or_default();
    let said = conditions
        .into_iter()
        .find(|known| known.type_ == "EtcdSnapshots" && known.status == "False");
    Ok(said.map_or_else(
        || "it is taken when the cluster's API and its etcd answer".to_owned(),
        |said| said.message,
    ))
}

/// Has the cluster start with a snapshot, and shows the plan of that.
pub(crate) async fn restore(global: &Global, args: &RestoreArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let control_planes: Api<ControlPlane> = Api::namespaced(client.clone(), &args.namespace);
    let known = read(&control_planes, &args.name, &args.namespace).await?;
    if args.cancel {
        return cancel(&client, args, &control_planes, &known).await;
    }
    let own = known
        .spec
        .saved_etcd
        .as_ref()
        .filter(|saved| !saved.machine.is_empty());
    if let Some(saved) = own.filter(|saved| saved.snapshot.is_some()) {
        return Err(Failure::text(format!(
            "{} is being started with the data of {}, which are newer than any snapshot (since {}); see: gantry explain {}",
            args.name, saved.machine, saved.begun_at.0, args.name
        )));
    }
    let snapshot = match &args.from {
        Some(place) => copied(place, &args.namespace, &args.name, &known.spec.cluster_uid),
        None => choose(&known.spec.snapshots, args.snapshot.as_deref()).cloned(),
    };
    let snapshot = snapshot.map_err(Failure::text)?;
    let now = Timestamp::now();
    output::note(format!("{}: {}", args.name, line(&snapshot, now)));
    let before = plans(&client, args).await?;
    let saved = SavedEtcd {
        machine: String::new(),
        given_up: None,
        begun_at: Time(now),
        snapshot: Some(snapshot),
    };
    // The resource version makes the write fail when somebody changed the control plane meanwhile.
    let patch = json!({
        "metadata": { "resourceVersion": known.metadata.resource_version },
        "spec": { "savedEtcd": saved },
    });
    if !args.yes {
        let question = "What was written after it is lost, and every machine of the control plane is installed anew. Go on? [y/N] ";
        output::agreed("restore", &args.name, question)?;
    }
    let params = connection::patch_params();
    control_planes
        .patch(&args.name, &params, &Patch::Merge(patch))
        .await?;
    let plan = planned(&client, args, &before).await?;
    plan_lines(&plan).iter().for_each(output::note);
    approve::write(&client, &plan).await?;
    output::line(format!(
        "{}: plan {} is carried out; follow it with: gantry get clusters -n {} --watch",
        args.name,
        plan.name_any(),
        args.namespace
    ));
    Ok(())
}

/// Takes the wish back: nothing was done for it yet.
async fn cancel(
    client: &Client,
    args: &RestoreArgs,
    control_planes: &Api<ControlPlane>,
    known: &ControlPlane,
) -> Outcome {
    let name = &args.name;
    if known
        .spec
        .saved_etcd
        .as_ref()
        .is_none_or(|saved| !saved.machine.is_empty())
    {
        return Err(Failure::text(format!(
            "nobody wants {name} to start with a snapshot"
        )));
    }
    let is_carried_out = |plan: &Plan| plan.phase() == PlanPhase::Executing;
    if let Some(plan) = plans(client, args)
        .await?
        .iter()
        .find(|plan| is_carried_out(plan))
    {
        return Err(Failure::text(format!(
            "plan {} is carried out already, so there is nothing to go back to",
            plan.name_any()
        )));
    }
    let patch = json!({
        "metadata": { "resourceVersion": known.metadata.resource_version },
        "spec": { "savedEtcd": null },
    });
    let params = connection::patch_params();
    control_planes.patch(name, &params, &Patch::Merge(patch)).await?;
    output::line(format!("{name}: goes on with the data that it has"));
    Ok(())
}

/// What the appliance knows of the control plane of a cluster.
pub(crate) async fn read(
    control_planes: &Api<ControlPlane>,
    name: &str,
    namespace: &str,
) -> Outcome<ControlPlane> {
    control_planes.get_opt(name).await?.ok_or_else(|| {
        Failure::text(format!(
            "there is no cluster {name} with machines in {namespace}; see: gantry get clusters -A"
        ))
    })
}

async fn plans(client: &Client, args: &RestoreArgs) -> Outcome<Vec<Plan>> {
    let plans: Api<Plan> = Api::namespaced(client.clone(), &args.namespace);
    let mut found = plans.list(&Default::default()).await?.items;
    found.retain(|plan| plan.spec.cluster == args.name);
    Ok(found)
}

/// The plan that waits for the approval of the restore.
async fn planned(client: &Client, args: &RestoreArgs, before: &[Plan]) -> Outcome<Plan> {
    let newest = before.iter().map(|plan| plan.spec.number).max();
    let wait = async {
        loop {
            let restores = |plan: &Plan| {
                let mut steps = plan.spec.steps.iter();
                Some(plan.spec.number) > newest
                    && plan.phase() == PlanPhase::Pending
                    && steps.any(|step| step.kind == PlanStepKind::RestoreControlPlane)
            };
            if let Some(plan) = plans(client, args).await?.into_iter().find(restores) {
                return Ok(plan);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| {
        Err(Failure::text(format!(
            "{}: no plan of the restore yet; see: gantry explain {}",
            args.name, args.name
        )))
    })
}

/// The snapshot that is meant: the newest one without a digest.
pub(crate) fn choose<'a>(
    known: &'a [EtcdSnapshot],
    digest: Option<&str>,
) -> Result<&'a EtcdSnapshot, String> {
    let Some(newest) = known.last() else {
        return Err(
            "the appliance keeps no snapshot of this cluster; take one with: gantry snapshot cluster NAME"
                .to_owned(),
        );
    };
    let Some(digest) = digest else {
        return Ok(newest);
    };
    let wanted = digest.strip_prefix("sha256:").unwrap_or(digest);
    let fits = |snapshot: &&EtcdSnapshot| {
        let text = snapshot.sha256.to_string();
        !wanted.is_empty() && text.trim_start_matches("sha256:").starts_with(wanted)
    };
    let mut found = known.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(format!(
            "several snapshots begin with {digest}: write more of the digest"
        )),
        _ => Err(format!(
            "no snapshot begins with {digest}; see: gantry snapshot cluster NAME --list"
        )),
    }
}

/// The snapshot that lies at a place. Whether it does, and whether it is whole, the appliance finds out.
pub(crate) fn copied(place: &str, namespace: &str, cluster: &str, uid: &str) -> Result<EtcdSnapshot, String> {
    let Some(copy) = SnapshotCopy::read(place) else {
        return Err(format!(
            "{place} is no name of a copy: it ends in NAMESPACE/CLUSTER/ID/TIME-BYTES-SHA256.sealed"
        ));
    };
    if (copy.namespace.as_str(), copy.cluster.as_str()) != (namespace, cluster) {
        return Err(format!(
            "{place} is a copy of cluster {} in {}, not of {cluster} in {namespace}",
            copy.cluster, copy.namespace
        ));
    }
    if copy.cluster_uid != uid {
        return Err(format!(
            "{place} is a copy of another cluster of this name: its id is {}, and that of {cluster} is {uid}",
            copy.cluster_uid
        ));
    }
    Ok(copy.snapshot(place))
}

fn line(snapshot: &EtcdSnapshot, now: Timestamp) -> String {
    let digest = snapshot.sha256.to_string();
    let copy = snapshot.copy.as_ref().map(|place| format!(", copied to {place}"));
    format!(
        "snapshot {}, {} bytes, taken {} ago ({}){}",
        digest.get(..SHORT).unwrap_or(&digest),
        snapshot.size,
        time::ago(snapshot.taken_at.0, now),
        snapshot.taken_at.0,
        copy.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(first: u8, second: u8) -> EtcdSnapshot {
        let mut bytes = [7; 32];
        (bytes[0], bytes[1]) = (first, second);
        EtcdSnapshot {
            sha256: resources::Digest::new(bytes),
            size: 4096,
            taken_at: Time(Timestamp::from_second(i64::from(second)).unwrap()),
            copy: None,
            contents: None,
        }
    }

    #[test]
    fn a_snapshot_is_chosen_by_the_beginning_of_its_digest() {
        let known = [snapshot(0x4a, 0x01), snapshot(0x4a, 0x02), snapshot(0x5b, 0x03)];
        let chosen = |digest| choose(&known, digest).map(|one| one.taken_at.0.as_second());
        assert_eq!(chosen(None), Ok(3));
        assert_eq!(chosen(Some("sha256:4a01")), Ok(1));
        assert_eq!(chosen(Some("4a02")), Ok(2));
        for wrong in ["4a", "ff", "", "sha256:"] {
            assert!(chosen(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(choose(&[], None).is_err());
    }

    #[test]
    fn a_copy_is_of_this_cluster_or_refused() {
        let copy = SnapshotCopy::of("eksa-system", "prod", "7c9e", &snapshot(1, 2));
        let place = format!("s3://backup/site/{copy}");
        let found = copied(&place, "eksa-system", "prod", "7c9e").unwrap();
        assert_eq!(found.sha256, copy.sha256);
        assert_eq!(found.copy.as_ref(), Some(&place));
        for (namespace, cluster, uid, part) in [
            (
                "eksa-system",
                "test",
                "7c9e",
                "a copy of cluster prod in eksa-system",
            ),
            ("other", "prod", "7c9e", "a copy of cluster prod in eksa-system"),
            (
                "eksa-system",
                "prod",
                "8d0f",
                "its id is 7c9e, and that of prod is 8d0f",
            ),
        ] {
            let refused = copied(&place, namespace, cluster, uid).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
        let refused = copied("/mnt/backup/snapshot.db", "eksa-system", "prod", "7c9e").unwrap_err();
        assert!(refused.contains("no name of a copy"), "{refused}");
    }

    #[test]
    fn a_snapshot_in_one_line() {
        let now = Timestamp::from_second(63).unwrap();
        assert_eq!(
            line(&snapshot(0x5b, 3), now),
            "snapshot sha256:5b0307070707, 4096 bytes, taken 60s ago (1970-01-01T00:00:03Z)"
        );
    }
}
