//! `gantry etcd drill NAME`: has the appliance rehearse a restore of a cluster's etcd, and shows what came of it.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::api::{Api, Patch};
use resources::anywhere::{Cluster, EtcdDrill, EtcdDrillOutcome, EtcdDrillStage, EtcdDrills};
use resources::gantry::{ControlPlane, EtcdDrillRequest, EtcdSnapshot};
use resources::{Time, keys};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::verbs::snapshot::{choose, copied, read};
use crate::{connection, output};

/// How long the beginning of a drill is waited for. Its end always comes: the appliance limits what it does.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    after_help = "The copy is fetched from where it lies, opened, restored into a scratch directory of the appliance, and served by an etcd\n\
                  on loopback; what it holds is compared. Nothing of the cluster is touched. The result stays in the Cluster's status.\n\n\
                  Examples:\n  gantry etcd drill prod\n  gantry etcd drill prod --copy s3://backup/gantry/eksa-system/prod/ID/FILE.sealed\n  \
                  gantry etcd drill prod --snapshot sha256:4a0f35d29c11 -o json"
)]
pub(crate) struct DrillArgs {
    /// Name of the cluster.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// A copy outside of the appliance, by its path or s3:// URL as `etcdSnapshotCopies` names it; the newest one by default, and
    /// the newest snapshot of the appliance where there is no copy.
    #[arg(long, value_name = "PATH|s3://BUCKET/KEY", conflicts_with = "snapshot")]
    copy: Option<String>,
    /// Digest of a snapshot that `gantry snapshot cluster NAME --list` prints, or its beginning.
    #[arg(long, value_name = "sha256:HEX")]
    snapshot: Option<String>,
    /// `json` prints the result for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(global: &Global, args: &DrillArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let control_planes: Api<ControlPlane> = Api::namespaced(client.clone(), &args.namespace);
    let clusters: Api<Cluster> = Api::namespaced(client, &args.namespace);
    let known = read(&control_planes, &args.name, &args.namespace).await?;
    let snapshot = wanted(args, &known)?;
    // As the API writes times: the result names it.
    let now = Timestamp::now();
    let asked = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let request = EtcdDrillRequest {
        requested_at: asked.clone(),
        snapshot,
    };
    // Nothing of an earlier wish stays.
    let mut wish = json!(request);
    wish["snapshot"] = json!(request.snapshot);
    let patch = json!({ "spec": { "drillRequest": wish } });
    let params = connection::patch_params();
    control_planes
        .patch(&args.name, &params, &Patch::Merge(patch))
        .await?;
    let drill = tokio::select! {
        drill = ended(&clusters, args, &asked) => drill?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::Interrupted(format!(
                "the drill goes on in the appliance; what comes of it: gantry explain {}",
                args.name
            )));
        }
    };
    show(args, &drill)
}

/// The snapshot that is asked for; `None` leaves the choice to the appliance.
fn wanted(args: &DrillArgs, known: &ControlPlane) -> Outcome<Option<EtcdSnapshot>> {
    let spec = &known.spec;
    if let Some(place) = &args.copy {
        let copy = copied(place, &args.namespace, &args.name, &spec.cluster_uid);
        return copy.map(Some).map_err(Failure::text);
    }
    let chosen = choose(&spec.snapshots, args.snapshot.as_deref());
    // Without one there is nothing to rehearse with, which is said here.
    let chosen = chosen.map_err(Failure::text)?;
    Ok(args.snapshot.is_some().then(|| chosen.clone()))
}

/// Waits for the end of the drill that was asked for at a time.
async fn ended(clusters: &Api<Cluster>, args: &DrillArgs, asked: &Time) -> Outcome<EtcdDrill> {
    let (mut shown, mut began) = (None, false);
    let begin = tokio::time::Instant::now();
    loop {
        let cluster = clusters.get(&args.name).await?;
        let status = cluster.status.unwrap_or_default();
        let drills = status.etcd_drills.unwrap_or_default();
        if let Some(last) = result_of(&drills, asked) {
            return Ok(last.clone());
        }
        if let Some(stage) = stage_of(&drills, asked) {
            began = true;
            if shown != Some(stage) {
                output::note(format!("{}: {}", args.name, stage.text()));
                shown = Some(stage);
            }
        }
        if !began && drills.under_way.is_none() && begin.elapsed() > PATIENCE {
            let why = status
                .reason
                .unwrap_or_else(|| "the appliance has not taken it up".to_owned());
            return Err(Failure::text(format!(
                "{}: no drill yet: {why}; it is carried out when that is over; see: gantry explain {}",
                args.name, args.name
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn result_of<'a>(drills: &'a EtcdDrills, asked: &Time) -> Option<&'a EtcdDrill> {
    let last = drills.last.as_ref();
    last.filter(|last| last.requested_at.as_ref() == Some(asked))
}

/// What is done of the drill that was asked for; while another one of the cluster is under way it waits for that.
fn stage_of(drills: &EtcdDrills, asked: &Time) -> Option<EtcdDrillStage> {
    let under_way = drills.under_way.as_ref()?;
    match under_way.requested_at.as_ref() == Some(asked) {
        true => Some(under_way.stage),
        false => Some(EtcdDrillStage::Waiting),
    }
}

fn show(args: &DrillArgs, drill: &EtcdDrill) -> Outcome {
    if args.output.is_some() {
        output::line(serde_json::to_string_pretty(drill)?);
    }
    let text = format!("{}: {}", args.name, drill.summary());
    match (drill.outcome, &args.output) {
        (EtcdDrillOutcome::Passed, None) => output::line(text),
        (EtcdDrillOutcome::Passed, Some(_)) => {}
        (EtcdDrillOutcome::Failed | EtcdDrillOutcome::Impossible, _) => return Err(Failure::text(text)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use resources::anywhere::EtcdDrillUnderWay;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn drill(requested: Option<i64>) -> EtcdDrill {
        EtcdDrill {
            outcome: EtcdDrillOutcome::Failed,
            stage: Some(EtcdDrillStage::Fetching),
            reason: Some("there is no copy /mnt/x".to_owned()),
            snapshot: None,
            taken_at: None,
            copy: None,
            requested_at: requested.map(at),
            started_at: at(5),
            ended_at: at(6),
            seconds: 1,
            found: None,
        }
    }

    #[test]
    fn the_result_is_that_of_the_drill_that_was_asked_for() {
        let drills = |requested| EtcdDrills {
            last: Some(drill(requested)),
            ..EtcdDrills::default()
        };
        assert!(result_of(&drills(Some(7)), &at(7)).is_some());
        assert!(result_of(&drills(Some(6)), &at(7)).is_none());
        assert!(result_of(&drills(None), &at(7)).is_none());
        let under_way = |requested: Option<i64>| EtcdDrills {
            under_way: Some(EtcdDrillUnderWay {
                started_at: at(5),
                stage: EtcdDrillStage::Reading,
                requested_at: requested.map(at),
            }),
            ..EtcdDrills::default()
        };
        assert_eq!(
            stage_of(&under_way(Some(7)), &at(7)),
            Some(EtcdDrillStage::Reading)
        );
        assert_eq!(stage_of(&under_way(None), &at(7)), Some(EtcdDrillStage::Waiting));
        assert_eq!(stage_of(&EtcdDrills::default(), &at(7)), None);
    }
}
