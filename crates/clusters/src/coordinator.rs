//! One Cluster, one way: admit -> observe -> plan -> carry on -> report, and again until it waits.

mod etcd_snapshots;
mod plans;
mod round;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use etcd::EtcdConnector;
use futures::FutureExt as _;
use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use resources::anywhere::{Cluster, FailureReason};
use resources::gantry::{Plan, PlanClass, PlanPhase};
use resources::keys;
use telemetry::Events;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::etcd_snapshots::EtcdSnapshots;
use self::plans::{drop_plan, note_answer, note_plan, store};
use self::round::Round;
pub(crate) use self::summary::SOON;
use self::summary::{LATER, pause, summary};
use crate::access::Access;
use crate::admit::{self, Admitted, Documents, Inventories, Site, admit, held_by, paused};
use crate::error::Error;
use crate::execute::{
    GivenUp, Kept, Progress, REST, Work, abandon, adopt_nodes, carry_on, drop_renewals, forget, give_up,
    keep_labels_and_taints, make_control_plane, make_provider_cluster, make_worker_groups, needs_another,
    node_keys, profile, renew_kubeconfig,
};
use crate::observe::{Connections, Snapshot, Views, Workloads, seen};
use crate::options::Options;
use crate::pin::Pin;
use crate::plan::{Identity, Seen, Verdict, Wanted, delete, plan};
use crate::report::{self, EtcdFacts, Report, known_phase};

/// Rounds of one run; more of them means that effects do not show.
const ROUNDS: usize = 60;
/// Changes of objects that may wait to wake their cluster.
pub(crate) const WAKES: usize = 1024;

/// Coordinates clusters.
pub struct Coordinator {
    pub(crate) client: Client,
    options: Options,
    connections: Connections,
    pub(crate) views: Arc<Views>,
    inventories: Inventories,
    snapshots: EtcdSnapshots,
    events: Events,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What a round leads to.
enum Next {
    /// Look again at once.
    Again,
    /// Look again later.
    After(Duration),
}

/// Whether the object stays until everything of it is given back.
fn is_held(cluster: &Cluster) -> bool {
    let mut finalizers = cluster.finalizers().iter();
    finalizers.any(|known| known == keys::CLUSTER_FINALIZER)
}

impl Coordinator {
    /// A coordinator on the appliance's API.
    #[must_use]
    pub fn new(
        client: Client,
        options: Options,
        workloads: Box<dyn Workloads>,
        etcd: Box<dyn EtcdConnector>,
    ) -> Self {
        Self {
            events: Events::new(client.clone(), keys::MANAGER_CLUSTERS),
            client,
            connections: Connections::new(workloads, etcd, options.certificates.clone()),
            options,
            views: Arc::default(),
            inventories: Inventories::default(),
            snapshots: EtcdSnapshots::default(),
        }
    }

    /// Keeps what the coordinator sees current until cancelled, for a caller of [`Self::reconcile`]. `run_coordinator`
    /// does it by itself.
    pub async fn follow(&self, cancel: CancellationToken) {
        let (wakes, mut woken) = mpsc::channel(WAKES);
        let watching = Arc::clone(&self.views).follow(self.client.clone(), wakes);
        tokio::select! {
            () = watching => {}
            () = async { while woken.recv().await.is_some() {} } => {}
            () = cancel.cancelled() => {}
        }
    }

    /// Ends what goes on beside the clusters, for a caller of [`Self::reconcile`]; returns when nothing of it is left.
    pub async fn end(&self) {
        self.snapshots.end().await;
    }

    /// Drives one Cluster on until it waits; returns when to look again.
    ///
    /// # Errors
    /// When an API does not do what it should; the caller tries again.
    pub async fn reconcile(&self, namespace: &str, name: &str) -> Result<Duration, Error> {
        self.views.complete().await;
        self.inventories.forget_old();
        let access = Access::new(self.client.clone(), namespace);
        // Read once as it is now, then from the view, which is to show that and what this run writes.
        let Some(cluster) = access.get::<Cluster>(name).await? else {
            return Ok(LATER);
        };
        if !self.views.shows(&cluster).await {
            return Ok(SOON);
        }
        for _ in 0..ROUNDS {
            let Some(cluster) = self.views.clusters.get(namespace, name) else {
                return Ok(LATER);
            };
            // On the heap: what a round keeps while it waits is more than belongs on the stack of a thread.
            let next = self.round(&access, &cluster).boxed().await?;
            if !self.views.show(&access).await {
                return Ok(SOON);
            }
            if let Next::After(pause) = next {
                return Ok(pause);
            }
        }
        Ok(SOON)
    }

    /// One round of a Cluster that is wanted, deleted or paused.
    async fn round(&self, access: &Access, cluster: &Cluster) -> Result<Next, Error> {
        let now = Timestamp::now();
        let deleting = cluster.metadata.deletion_timestamp.is_some();
        if !deleting && !is_held(cluster) {
            access.hold(cluster, keys::CLUSTER_FINALIZER, true).await?;
            return Ok(Next::Again);
        }
        if let Some(reason) = paused(cluster) {
            return say(access, cluster, reason, None, LATER, now).await;
        }
        let result = if deleting {
            self.delete(access, cluster, now).boxed().await
        } else {
            self.drive(access, cluster, now).boxed().await
        };
        match result {
            Err(taken @ Error::Taken { .. }) => {
                let reason = FailureReason::ClusterInvalid;
                refuse(access, cluster, reason, taken.to_string(), now).await
            }
            other => other,
        }
    }

    /// A cluster that is wanted.
    async fn drive(&self, access: &Access, cluster: &Cluster, now: Timestamp) -> Result<Next, Error> {
        let (namespace, name) = (&access.namespace, cluster.name_any());
        let mut snapshot = Snapshot::read(&self.views, namespace, &name);
        let admitted = match admit(access, &self.views, cluster, &snapshot).await? {
            Documents::Good(admitted) => admitted,
            Documents::Waits(reason) => return say(access, cluster, reason, None, SOON, now).await,
            Documents::Bad(reason, message) => return refuse(access, cluster, reason, message, now).await,
        };
        let known = snapshot.control_plane.as_deref();
        let wanted = admitted.pin.wanted(&snapshot.scaled(&admitted.bundle), known);
        snapshot.want(&self.views, namespace, wanted.clone());
        snapshot.name_gates(cluster);
        if self.record(access, &snapshot, &wanted, &admitted.pin).await? {
            return Ok(Next::Again);
        }
        let (uid, known) = (
            snapshot.cluster_uid().unwrap_or_default(),
            snapshot.provider_cluster.as_deref(),
        );
        if make_provider_cluster(access, cluster, &wanted, uid, known).await? {
            return Ok(Next::Again);
        }
        let groups = make_worker_groups(access, &self.views, &snapshot, &wanted, &admitted.bundle);
        if groups.boxed().await? {
            return Ok(Next::Again);
        }
        let connection = self.connections.ask(access, &mut snapshot, now).await;
        match give_up(access, &self.options, &self.snapshots.tries, &snapshot, now).await? {
            GivenUp::Nothing => {}
            GivenUp::Noted => return Ok(Next::Again),
            GivenUp::Refused(reason) => return say(access, cluster, reason, None, SOON, now).await,
        }
        if note_answer(access, &snapshot, connection.as_ref(), now).await?
            || forget(access, &snapshot).await?
            || abandon(access, &snapshot, connection.as_ref()).await?
            || renew_kubeconfig(access, &snapshot, now).await?
        {
            return Ok(Next::Again);
        }
        let context = (access, &self.options, &self.events, &self.views);
        let connected = connection.as_ref();
        let tended = self.snapshots.tend(context, cluster, &snapshot, connected, now);
        if tended.boxed().await? {
            return Ok(Next::Again);
        }
        if adopt_nodes(access, &snapshot, &wanted).await? {
            return Ok(Next::Again);
        }
        drop_renewals(&snapshot, connection.as_ref()).await;
        let kept = match keep_labels_and_taints(access, &snapshot, &admitted.pin, connected).await? {
            Kept::Wrote => return Ok(Next::Again),
            Kept::Nothing => None,
            Kept::Waits(reason) => Some(reason),
        };
        let under_way = snapshot.plan().filter(|plan| plan.phase().is_under_way());
        let number = under_way.map_or_else(|| snapshot.next_number(), |plan| plan.spec.number);
        let seen = seen(&snapshot, now);
        let verdict = self.plan(&wanted, &snapshot, &seen, number, now);
        if drop_plan(access, &snapshot, &seen, &wanted, &verdict, now).await? {
            return Ok(Next::Again);
        }
        if needs_another(snapshot.plan().map(AsRef::as_ref), &verdict, now) {
            if !snapshot.is_made() {
                match self.check_site(access, &admitted, &snapshot).await? {
                    Site::Good => {}
                    Site::Waits(reason) => return say(access, cluster, reason, None, SOON, now).await,
                    Site::Bad(reason, message) => {
                        return refuse(access, cluster, reason, message, now).await;
                    }
                }
            }
            let verdict = self.plan(&wanted, &snapshot, &seen, snapshot.next_number(), now);
            if let Some(spec) = verdict.plan {
                store(access, &snapshot, &spec, now).await?;
                return Ok(Next::Again);
            }
        }
        let adopts = snapshot.adoption_wait();
        let etcd = self
            .snapshots
            .report(access, &self.options, cluster, &snapshot, now);
        let round = Round {
            access,
            cluster,
            snapshot,
            connection,
            pin: Some(admitted.pin),
            waits: admitted.waits.or(kept).or(adopts),
            refused: admitted.refused,
            etcd,
            now,
        };
        self.carry_on(round, verdict).boxed().await
    }

    async fn check_site(
        &self,
        access: &Access,
        admitted: &Admitted,
        snapshot: &Snapshot,
    ) -> Result<Site, Error> {
        let (views, inventories) = (&self.views, &self.inventories);
        admit::check_site(access, views, inventories, &self.options, admitted, snapshot).await
    }

    fn plan(
        &self,
        wanted: &Wanted,
        snapshot: &Snapshot,
        seen: &Seen,
        number: u32,
        now: Timestamp,
    ) -> Verdict {
        let identity = Identity {
            cluster_uid: snapshot.cluster_uid().unwrap_or_default(),
            number,
        };
        plan(wanted, seen, self.options.policy, identity, now)
    }

    /// Records what the cluster is made from, and gives it its id. Tells whether anything was written.
    async fn record(
        &self,
        access: &Access,
        snapshot: &Snapshot,
        wanted: &Wanted,
        pin: &Pin,
    ) -> Result<bool, Error> {
        let known = snapshot.control_plane.as_deref();
        let made = snapshot.is_made();
        let keys = node_keys(snapshot, wanted);
        let (fits, pin) = match known {
            None => (false, None),
            Some(known) if made => {
                let same = pin.is_recorded(known, wanted) && known.spec.node_keys == keys;
                (same, Some(pin))
            }
            // No machine is made of them yet, or none is left: the documents may be corrected.
            Some(known) => (known.spec.documents.is_none(), None),
        };
        let has_uid = snapshot.cluster_uid().is_some();
        let replicas =
            known.is_some_and(|known| usize::try_from(known.spec.replicas) == Ok(wanted.control_planes()));
        if fits && has_uid && replicas {
            return Ok(false);
        }
        make_control_plane(access, wanted, known, pin, keys).await?;
        Ok(true)
    }

    /// Carries the plan that counts on, and reports.
    async fn carry_on(&self, round: Round<'_>, verdict: Verdict) -> Result<Next, Error> {
        let Round {
            access,
            snapshot,
            now,
            ..
        } = &round;
        let Some(current) = snapshot.plan().cloned() else {
            let report = summary(&round, None, &verdict);
            report::write(access, round.cluster, snapshot, None, &report, *now).await?;
            return Ok(Next::After(pause(&round, None, &verdict)));
        };
        let mut progress = Progress::of(&current);
        if progress.phase() == PlanPhase::Executing && note_plan(&round, &current, &progress).await? {
            return Ok(Next::Again);
        }
        let work = Work {
            access,
            options: &self.options,
            profile: profile(round.cluster, self.options.profile),
            pin: round.pin.as_ref(),
            snapshot,
            connection: round.connection.as_ref(),
            plan: &current,
            now: *now,
        };
        let outcome = carry_on(&work, &mut progress).boxed().await?;
        report::write_plan(access, &current, &progress).await?;
        for (text, transition) in &outcome.transitions {
            let mut transition = transition.clone();
            transition.reason = format!("{text}: {}", transition.reason);
            self.events.transition(&*current, "", &transition).await;
        }
        if outcome.acted {
            return Ok(Next::Again);
        }
        if progress.phase() == PlanPhase::Done && current.spec.class == PlanClass::Delete {
            access.delete::<Plan>(&current.name_any()).await?;
            access.hold(round.cluster, keys::CLUSTER_FINALIZER, false).await?;
            return Ok(Next::After(LATER));
        }
        if progress.phase() != Progress::of(&current).phase() {
            return Ok(Next::Again);
        }
        let report = summary(&round, Some(&progress), &verdict);
        report::write(access, round.cluster, snapshot, Some(&progress), &report, *now).await?;
        Ok(Next::After(pause(&round, Some(&progress), &verdict)))
    }

    /// A cluster that is being deleted.
    async fn delete(&self, access: &Access, cluster: &Cluster, now: Timestamp) -> Result<Next, Error> {
        let name = cluster.name_any();
        if !is_held(cluster) {
            return Ok(Next::After(LATER));
        }
        let snapshot = Snapshot::read(&self.views, &access.namespace, &name);
        let current = snapshot
            .plan()
            .filter(|plan| plan.spec.class == PlanClass::Delete);
        // A deletion that failed is tried anew: nothing else can be wanted of this cluster any more.
        let stands = current.is_some_and(|plan| {
            let progress = Progress::of(plan);
            let since = progress.status().since.as_ref().map_or(now, |since| since.0);
            let rests = progress.phase() != PlanPhase::Failed || steps::later(since, REST) > now;
            let knows = |machine: &&&String| {
                plan.spec
                    .steps
                    .iter()
                    .any(|step| step.machine.as_ref() == Some(**machine))
            };
            rests && snapshot.with_candidates().iter().all(|machine| knows(&machine))
        });
        if current.is_none()
            && let Some(reason) = held_by(&self.views, cluster)
        {
            return say(access, cluster, reason, None, SOON, now).await;
        }
        if !stands {
            let existing = snapshot.with_candidates();
            let machines: Vec<_> = existing
                .into_iter()
                .map(|machine| (machine.clone(), snapshot.role(machine)))
                .collect();
            let spec = delete(&name, &machines, snapshot.next_number());
            store(access, &snapshot, &spec, now).await?;
            return Ok(Next::Again);
        }
        self.connections.forget(&access.namespace, &name);
        self.snapshots.forget(access, &name);
        let round = Round {
            access,
            cluster,
            snapshot,
            connection: None,
            pin: None,
            waits: None,
            refused: Vec::new(),
            etcd: EtcdFacts::default(),
            now,
        };
        self.carry_on(round, Verdict::default()).boxed().await
    }
}

/// The documents are wrong: say so and wait for a change.
async fn refuse(
    access: &Access,
    cluster: &Cluster,
    reason: FailureReason,
    message: String,
    now: Timestamp,
) -> Result<Next, Error> {
    let waits = matches!(
        reason,
        FailureReason::MissingDependentObjects
            | FailureReason::HardwareInvalid
            | FailureReason::ManagementClusterRefInvalid
    );
    let first = message.lines().next().unwrap_or_default().to_owned();
    let pause = if waits { SOON } else { LATER };
    say(access, cluster, first, Some((reason, message)), pause, now).await
}

/// Says why the cluster is not looked at further; its phase stays as it is.
async fn say(
    access: &Access,
    cluster: &Cluster,
    reason: String,
    failure: Option<(FailureReason, String)>,
    pause: Duration,
    now: Timestamp,
) -> Result<Next, Error> {
    let report = Report {
        phase: known_phase(cluster),
        reason: Some(reason),
        failure,
        ..Report::default()
    };
    report::write_cluster(access, cluster, None, &report, now).await?;
    Ok(Next::After(pause))
}
