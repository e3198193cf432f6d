//! Settings of the coordinator.

use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::SignedDuration;
use node_config::Profile;
use resources::Mac;
use resources::anywhere::{EtcdDrillFindings, EtcdDrillStage};
use resources::gantry::{EtcdContents, PlanClass, ReleaseChart, SnapshotCopy};
use sealed_files::{Reader, SealedFiles};
use tokio::io::AsyncWrite;

use crate::observe::{Certificates, Failure};
use crate::plan::Policy;

/// Settings of the coordinator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Classes of plans that approve themselves, unless a plan asks for a person.
    pub self_approved: Vec<PlanClass>,
    /// How failures are answered.
    pub policy: Policy,
    /// Profile of clusters that do not name one.
    pub profile: Profile,
    /// Minutes of a bootstrap token.
    pub token_minutes: u32,
    /// Where the appliance answers machines; clusters that name another address are refused. None: not known.
    pub appliance: Option<Ipv4Addr>,
    /// Where data of clusters are kept, sealed, while nobody else has them. None: a control plane of one member can't be
    /// installed anew on its host.
    pub files: Option<SealedFiles>,
    /// How old the newest snapshot of a cluster's etcd may become. None: snapshots are taken when a person asks for one.
    pub snapshot_every: Option<SignedDuration>,
    /// How many snapshots of a cluster are kept.
    pub snapshots_kept: usize,
    /// Looks at the certificates that members of control planes show. None: those are not renewed.
    pub certificates: Option<Arc<dyn Certificates>>,
    /// Where the newest snapshot is copied to. None: nowhere.
    pub copies: Option<Arc<dyn SnapshotCopies>>,
    /// Rehearses restores. None: no drill is possible.
    pub drills: Option<Arc<dyn SnapshotDrills>>,
    /// How old the newest drill of a cluster may become. None: drills are carried out when a person asks for one.
    pub drill_every: Option<SignedDuration>,
    /// Reads the Helm charts that Releases name. None: no cluster can have an add-on that comes from a chart.
    pub charts: Option<Arc<dyn Charts>>,
    /// Asks the network of the machines before a cluster is created. None: there is no such network.
    pub probe: Option<Arc<dyn AddressProbe>>,
}

/// Copies of snapshots outside of the appliance.
pub trait SnapshotCopies: std::fmt::Debug + Send + Sync {
    /// Where a copy is, for people: a path or a URL.
    fn location(&self, copy: &SnapshotCopy) -> String;

    /// Makes a copy of a snapshot.
    fn put<'a>(&'a self, copy: &'a SnapshotCopy, from: Reader) -> BoxFuture<'a, Result<(), Failure>>;

    /// Writes the snapshot of a copy. What was written when this fails is of no use.
    fn fetch<'a>(&'a self, copy: &'a SnapshotCopy, to: &'a mut Sink) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Where a snapshot is written to.
pub type Sink = dyn AsyncWrite + Send + Unpin;

/// Rehearsals of restores.
pub trait SnapshotDrills: std::fmt::Debug + Send + Sync {
    /// Makes room for a snapshot of `size` bytes.
    fn begin(&self, size: u64) -> BoxFuture<'_, Result<Box<dyn SnapshotDrill>, DrillFailure>>;
}

/// A rehearsal that has room for its snapshot. Nothing of it stays when this value goes.
pub trait SnapshotDrill: Send {
    /// Takes the snapshot.
    fn snapshot(&mut self) -> &mut Sink;

    /// Restores the snapshot, serves it, and compares it with what its etcd said of its data; `authority` is the
    /// certificate (PEM) that the cluster's pods trust. `stage` is called when a stage begins.
    fn rehearse<'a>(
        self: Box<Self>,
        contents: Option<EtcdContents>,
        authority: String,
        stage: &'a (dyn Fn(EtcdDrillStage) + Send + Sync),
    ) -> BoxFuture<'a, Result<EtcdDrillFindings, DrillFailure>>;
}

/// Why a rehearsal did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrillFailure {
    /// A restore with this snapshot would fail.
    Failed(Failure),
    /// It could not be carried out, which says nothing of the snapshot.
    Impossible(Failure),
}

/// Where Helm charts are.
pub trait Charts: std::fmt::Debug + Send + Sync {
    /// The .tgz of a chart; with the digest that the Release names, where it does.
    fn read<'a>(&'a self, chart: &'a ReleaseChart) -> BoxFuture<'a, Result<Vec<u8>, Failure>>;
}

/// Asks the network of the machines who has an address.
pub trait AddressProbe: std::fmt::Debug + Send + Sync {
    /// MAC address of the host that answers for `address`; `None` when nobody does.
    fn holder(&self, address: Ipv4Addr) -> BoxFuture<'_, Result<Option<Mac>, Failure>>;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            self_approved: vec![
                PlanClass::Create,
                PlanClass::Scale,
                PlanClass::Remediate,
                PlanClass::Maintain,
                PlanClass::Delete,
            ],
            policy: Policy::default(),
            profile: Profile::Standard,
            token_minutes: 10,
            appliance: None,
            files: None,
            snapshot_every: None,
            snapshots_kept: 4,
            certificates: None,
            copies: None,
            drills: None,
            drill_every: None,
            charts: None,
            probe: None,
        }
    }
}
