//! One drill: the snapshot comes from where it lies, and is restored and served where nobody is touched by it.

use std::sync::Arc;

use resources::anywhere::{EtcdDrillFindings, EtcdDrillStage};
use resources::gantry::{ControlPlane, EtcdSnapshot, SnapshotCopy};
use sealed_files::SealedFiles;
use tokio::sync::Mutex;

use super::snapshot_copies::{copy_of, read_copy};
use super::snapshots::{directory, write_out};
use crate::access::Access;
use crate::observe::Snapshot;
use crate::options::{DrillFailure, Options, Sink, SnapshotCopies, SnapshotDrills};
use crate::secrets;

/// Where the snapshot of a drill comes from.
enum Source {
    Copy(Option<Arc<dyn SnapshotCopies>>, SnapshotCopy, String),
    File(Option<SealedFiles>, String),
}

impl Source {
    async fn write(&self, snapshot: &EtcdSnapshot, to: &mut Sink) -> Result<(), String> {
        match self {
            Self::Copy(copies, copy, place) => read_copy(copies.as_deref(), copy, place, to).await,
            Self::File(Some(files), name) => write_out(files, name, snapshot, to).await,
            Self::File(None, _) => Err("the appliance keeps no files".to_owned()),
        }
    }
}

/// All that a drill needs while nobody looks.
pub(super) struct Rehearsal {
    drills: Arc<dyn SnapshotDrills>,
    source: Source,
    snapshot: EtcdSnapshot,
    /// For the authorities of the cluster.
    access: Access,
    cluster: String,
}

impl Rehearsal {
    /// Of a cluster, with a snapshot of it.
    pub(super) fn of(
        access: &Access,
        options: &Options,
        snapshot: &Snapshot,
        control_plane: &ControlPlane,
        wanted: Option<&EtcdSnapshot>,
    ) -> Result<Self, DrillFailure> {
        let cluster = &snapshot.cluster;
        let drills = options.drills.clone().ok_or_else(|| {
            DrillFailure::Impossible("this appliance has nothing to rehearse a restore with".to_owned())
        })?;
        let wanted = wanted.ok_or_else(|| {
            DrillFailure::Failed(format!(
                "the appliance knows of none; take one with: gantry snapshot cluster {cluster}"
            ))
        })?;
        let source = match &wanted.copy {
            Some(place) => {
                let copy = copy_of(access, control_plane, cluster, wanted);
                Source::Copy(options.copies.clone(), copy, place.clone())
            }
            None => Source::File(options.files.clone(), directory(access, snapshot)),
        };
        Ok(Self {
            drills,
            source,
            snapshot: wanted.clone(),
            access: Access::new(access.client.clone(), &access.namespace),
            cluster: cluster.clone(),
        })
    }

    /// Waits for its turn, and rehearses.
    pub(super) async fn run(
        &self,
        turn: &Mutex<()>,
        stage: &(dyn Fn(EtcdDrillStage) + Send + Sync),
    ) -> Result<EtcdDrillFindings, DrillFailure> {
        let _turn = turn.lock().await;
        stage(EtcdDrillStage::Fetching);
        // A restore needs them too.
        let pki = secrets::read(&self.access, &self.cluster).await;
        let pki = pki.map_err(|error| DrillFailure::Failed(causes::line(&error)))?;
        let mut drill = self.drills.begin(self.snapshot.size).await?;
        let written = self.source.write(&self.snapshot, drill.snapshot()).await;
        written.map_err(DrillFailure::Failed)?;
        drill
            .rehearse(self.snapshot.contents, pki.ca.certificate, stage)
            .await
    }
}
