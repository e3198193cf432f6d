//! Rehearsals of restores as the coordinator asks for them, with the programs of the parts folder.

use std::sync::Arc;
use std::time::Duration;

use clusters::{DrillFailure, Sink, SnapshotDrill};
use etcd_drill::{Drill, Drills, Error, Expected};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use resources::anywhere::{EtcdDrillFindings, EtcdDrillStage};
use resources::gantry::EtcdContents;

use crate::parts::Parts;
use crate::settings::Settings;

/// Longest time from the whole snapshot to the result; the largest etcd that is supported (8 GiB) takes minutes.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Opens them, and removes what drills of a process that was killed have left.
pub(crate) fn open(settings: &Settings, parts: Option<&Parts>) -> Arc<dyn clusters::SnapshotDrills> {
    let drills = Drills::new(etcd_drill::Settings {
        programs: parts.map(Parts::programs),
        folder: settings.etcd_drill_folder.clone(),
        limit: LIMIT,
    });
    if let Err(error) = drills.remove_leftovers() {
        // Each drill says it, too.
        tracing::warn!(error = causes::line(&error), "no drill is possible");
    }
    Arc::new(Rehearsals(drills))
}

#[derive(Debug)]
struct Rehearsals(Drills);

impl clusters::SnapshotDrills for Rehearsals {
    fn begin(&self, size: u64) -> BoxFuture<'_, Result<Box<dyn SnapshotDrill>, DrillFailure>> {
        async move {
            let drill = self.0.begin(size).await.map_err(|error| failure(&error))?;
            Ok(Box::new(Rehearsal(drill)) as Box<dyn SnapshotDrill>)
        }
        .boxed()
    }
}

struct Rehearsal(Drill);

impl SnapshotDrill for Rehearsal {
    fn snapshot(&mut self) -> &mut Sink {
        self.0.snapshot()
    }

    fn rehearse<'a>(
        self: Box<Self>,
        contents: Option<EtcdContents>,
        authority: String,
        stage: &'a (dyn Fn(EtcdDrillStage) + Send + Sync),
    ) -> BoxFuture<'a, Result<EtcdDrillFindings, DrillFailure>> {
        async move {
            let expected = Expected {
                contents,
                authority: Some(authority),
            };
            let found = self.0.rehearse(&expected, stage).await;
            found.map_err(|error| failure(&error))
        }
        .boxed()
    }
}

fn failure(error: &Error) -> DrillFailure {
    let why = causes::line(error);
    match error.is_of_snapshot() {
        true => DrillFailure::Failed(why),
        false => DrillFailure::Impossible(why),
    }
}
