//! The shell: one Cluster, one look, one decision, its effect, and again until it waits.

use std::sync::Arc;
use std::time::Duration;

use cluster_spec::endpoint_to_probe;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use resources::anywhere::{Cluster, FailureReason};
use resources::gantry::{Image, Plan, PlanClass, PlanPhase, ProviderMachine, ReleaseSpec};
use resources::{Digest, Mac, keys};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::connections::Connections;
use super::documents::{self, Documents};
use super::look;
use super::machines;
use super::new_cluster::NewClusters;
use super::round::{LATER, Next, Round, SOON, set_finalizer};
use super::snapshot::{ApiSeen, Options};
use super::status::{self, Word};
use super::tell::{store_plan, tell};
use super::words::phase;
use crate::error::Error;
use crate::plan::{Desired, Founding, current, delete, next_plan};

/// Decisions in one round; more of them means that effects do not show.
const ROUNDS: usize = 60;

/// Coordinates clusters.
pub struct Coordinator {
    client: Client,
    options: Options,
    connections: Connections,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Coordinates every Cluster until cancelled.
pub async fn run_coordinator(coordinator: Coordinator, cancel: CancellationToken) {
    let client = coordinator.client.clone();
    let controller = Controller::new(Api::<Cluster>::all(client.clone()), watcher::Config::default());
    let known = controller.store();
    let config = watcher::Config::default;
    controller
        .watches(Api::<ProviderMachine>::all(client.clone()), config(), |machine| {
            Some(ObjectRef::new(&machine.spec.cluster_name).within(&machine.namespace()?))
        })
        .watches(Api::<Plan>::all(client.clone()), config(), |plan| {
            Some(ObjectRef::new(&plan.spec.cluster).within(&plan.namespace()?))
        })
        .watches(Api::<Image>::all(client), config(), move |image| {
            let near = |cluster: &Arc<Cluster>| cluster.namespace() == image.namespace();
            known
                .state()
                .into_iter()
                .filter(near)
                .map(|cluster| ObjectRef::from_obj(&*cluster))
                .collect::<Vec<_>>()
        })
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(reconcile, failed, Arc::new(coordinator))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(cluster: Arc<Cluster>, coordinator: Arc<Coordinator>) -> Result<Action, Error> {
    let namespace = cluster
        .namespace()
        .unwrap_or_else(|| keys::DEFAULT_NAMESPACE.to_owned());
    coordinator
        .reconcile(&namespace, &cluster.name_any())
        .await
        .map(Action::requeue)
}

fn failed(cluster: Arc<Cluster>, error: &Error, _: Arc<Coordinator>) -> Action {
    tracing::warn!(cluster = %cluster.name_any(), error = causes::line(error), "a cluster could not be driven on");
    Action::requeue(SOON)
}

/// Whether the object stays until everything of it is given back.
fn held(cluster: &Cluster) -> bool {
    let mut finalizers = cluster.finalizers().iter();
    finalizers.any(|known| known == keys::CLUSTER_FINALIZER)
}

impl Coordinator {
    /// A coordinator on the appliance's API.
    #[must_use]
    pub fn new(client: Client, options: Options, new_clusters: Box<dyn NewClusters>) -> Self {
        Self {
            client,
            options,
            connections: Connections::new(new_clusters),
        }
    }

    /// Drives one Cluster on until it waits; returns when to look again.
    ///
    /// # Errors
    /// When an API does not do what it should; the caller tries again.
    pub async fn reconcile(&self, namespace: &str, name: &str) -> Result<Duration, Error> {
        let access = Access {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
        };
        for _ in 0..ROUNDS {
            let Some(cluster) = access.get::<Cluster>(name).await? else {
                return Ok(LATER);
            };
            let next = self.step(&access, &cluster).await?;
            if let Next::After(pause) = next {
                return Ok(pause);
            }
        }
        Ok(SOON)
    }

    /// One step of a Cluster that is wanted, deleted or paused.
    async fn step(&self, access: &Access, cluster: &Cluster) -> Result<Next, Error> {
        let now = Timestamp::now();
        let deleting = cluster.metadata.deletion_timestamp.is_some();
        if !deleting && !held(cluster) {
            set_finalizer(access, cluster, true).await?;
            return Ok(Next::Again);
        }
        if let Some(reason) = paused(cluster) {
            return wait(access, cluster, reason, LATER, now).await;
        }
        let result = if deleting {
            self.delete(access, cluster, now).await
        } else {
            self.create(access, cluster, now).await
        };
        match result {
            Err(taken @ Error::Taken { .. }) => {
                refuse(
                    access,
                    cluster,
                    FailureReason::ClusterInvalid,
                    taken.to_string(),
                    now,
                )
                .await
            }
            other => other,
        }
    }

    async fn create(&self, access: &Access, cluster: &Cluster, now: Timestamp) -> Result<Next, Error> {
        let name = cluster.name_any();
        let mut seen = look::read(access, &name).await?;
        let admitted = match documents::read(access, cluster, &seen.snapshot).await? {
            Documents::Good(admitted) => admitted,
            Documents::Waits(reason) => return wait(access, cluster, reason, SOON, now).await,
            Documents::Bad(reason, message) => return refuse(access, cluster, reason, message, now).await,
        };
        let desired = Desired::new(&admitted.bundle, &admitted.pin.release);
        let members = seen.snapshot.members();
        let recorded = seen.snapshot.control_plane.as_ref();
        if seen.snapshot.is_made() {
            if !recorded.is_some_and(|known| admitted.pin.is_recorded(known)) {
                machines::make_control_plane(access, &desired, recorded, Some(&admitted.pin)).await?;
                return Ok(Next::Again);
            }
        } else if recorded.is_some_and(|known| known.spec.documents.is_some()) {
            // All machines of a plan that failed were given back: the documents may be corrected.
            machines::make_control_plane(access, &desired, recorded, None).await?;
            return Ok(Next::Again);
        }
        seen.snapshot.desired = Some(desired.clone());
        let api = self
            .connections
            .ask(&access.namespace, &name, &mut seen, now)
            .await;
        let answers = matches!(seen.snapshot.api, ApiSeen::Answers { .. });
        let initialized = answers || status::holds(cluster, "ControlPlaneInitialized");
        let founding = seen.snapshot.founding(initialized);
        let is_control_plane = |name: &String| seen.snapshot.is_control_plane(name);
        if founding == Founding::Done && !members.existing.iter().any(is_control_plane) {
            let message = format!(
                "no machine of the control plane of {name} is left, so there is no etcd to join; restore one, or delete \
                 the cluster and create it anew"
            );
            return refuse(access, cluster, FailureReason::ClusterInvalid, message, now).await;
        }
        if let Some((number, spec)) = next_plan(&desired, &seen.plans, &members, founding) {
            if seen.snapshot.existing().is_empty() {
                let (bundle, appliance) = (&admitted.bundle, self.options.appliance);
                if let Some(message) = documents::hardware(access, bundle).await? {
                    return refuse(access, cluster, FailureReason::HardwareInvalid, message, now).await;
                }
                let holder = self.holder_of_endpoint(cluster).await;
                let clash = documents::surroundings(access, bundle, appliance, holder).await?;
                if let Some((reason, message)) = clash {
                    return refuse(access, cluster, reason, message, now).await;
                }
            }
            store_plan(access, &name, number, &spec, &seen.plans).await?;
            return Ok(Next::Again);
        }
        Round {
            options: &self.options,
            access,
            cluster,
            seen: &seen,
            api,
            release: &admitted.pin.release,
            pin: Some(&admitted.pin),
            refused: &admitted.refused,
            now,
        }
        .carry_on()
        .await
    }

    /// Who answers for the control-plane address of a cluster that is to be created.
    async fn holder_of_endpoint(&self, cluster: &Cluster) -> Option<Mac> {
        let (probe, address) = (self.options.probe.as_ref()?, endpoint_to_probe(cluster)?);
        match probe.holder(address).await {
            Ok(holder) => holder,
            Err(error) => {
                let cluster = cluster.name_any();
                tracing::warn!(cluster, address = %address, error, "nobody could be asked for the endpoint's address");
                None
            }
        }
    }

    async fn delete(&self, access: &Access, cluster: &Cluster, now: Timestamp) -> Result<Next, Error> {
        let name = cluster.name_any();
        if !held(cluster) {
            return Ok(Next::After(LATER));
        }
        let seen = look::read(access, &name).await?;
        match current(&seen.plans, &name) {
            // A deletion that failed is tried anew: nothing else can be wanted of this cluster any more.
            Some((_, plan)) if plan.spec.class == PlanClass::Delete && !failed_before(plan, now) => {}
            found => {
                let (control_planes, workers): (Vec<String>, Vec<String>) = seen
                    .snapshot
                    .existing()
                    .into_iter()
                    .partition(|machine| seen.snapshot.is_control_plane(machine));
                let spec = delete(&name, Digest::new([0; 32]), &workers, &control_planes);
                store_plan(
                    access,
                    &name,
                    found.map_or(0, |(number, _)| number) + 1,
                    &spec,
                    &seen.plans,
                )
                .await?;
                return Ok(Next::Again);
            }
        }
        self.connections.forget(&access.namespace, &name);
        let release = ReleaseSpec::default();
        Round {
            options: &self.options,
            access,
            cluster,
            seen: &seen,
            api: None,
            release: &release,
            pin: None,
            refused: &[],
            now,
        }
        .carry_on()
        .await
    }
}

/// Whether a plan failed a while ago.
fn failed_before(plan: &Plan, now: Timestamp) -> bool {
    let Some(status) = plan
        .status
        .as_ref()
        .filter(|status| status.phase == PlanPhase::Failed)
    else {
        return false;
    };
    let since = status.since.as_ref().map_or(now, |since| since.0);
    now.duration_since(since).as_secs() > 60
}

/// What to say of a paused Cluster of which nothing is changed or deleted.
fn paused(cluster: &Cluster) -> Option<String> {
    let set = |key: &str| {
        let value = cluster.annotations().get(key);
        value.is_some_and(|value| value == "true")
    };
    if !set(keys::PAUSED) {
        return None;
    }
    if cluster.metadata.deletion_timestamp.is_none() {
        return Some(format!("paused by annotation {}", keys::PAUSED));
    }
    let reason = format!(
        "paused by annotation {}, so it is not deleted; remove the annotation, or set {}=true",
        keys::PAUSED,
        keys::ALLOW_DELETE_WHEN_PAUSED
    );
    (!set(keys::ALLOW_DELETE_WHEN_PAUSED)).then_some(reason)
}

/// Says what is waited for; the phase stays as it is.
async fn wait(
    access: &Access,
    cluster: &Cluster,
    reason: String,
    pause: Duration,
    now: Timestamp,
) -> Result<Next, Error> {
    let word = Word {
        phase: phase(cluster),
        reason: Some(reason),
        ..Word::default()
    };
    tell(access, cluster, None, None, word, now).await?;
    Ok(Next::After(pause))
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
        FailureReason::MissingDependentObjects | FailureReason::HardwareInvalid
    );
    let word = Word {
        phase: phase(cluster),
        reason: Some(message.lines().next().unwrap_or_default().to_owned()),
        deadline: None,
        failure: Some((reason, message)),
    };
    tell(access, cluster, None, None, word, now).await?;
    Ok(Next::After(if waits { SOON } else { LATER }))
}
