//! The shell: one Cluster, one look, one decision, its effect, and again until it waits.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use node_config::Profile;
use resources::anywhere::{Cluster, FailureReason};
use resources::gantry::{ControlPlane, Image, Plan, PlanClass, PlanPhase, ProviderMachine, ReleaseSpec};
use resources::{Digest, keys};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::connections::Connections;
use super::documents::{self, Documents};
use super::effects::{Work, carry_out};
use super::look::{self, Seen};
use super::new_cluster::{NewCluster, NewClusters};
use super::snapshot::{ApiSeen, Options};
use super::states::{self, Decision};
use super::status::{self, Word};
use super::tell::{store_plan, tell, tell_machines, write_plan};
use super::words::{approve, busy, phase, resting};
use super::{APPROVED_BY, PROFILE_ANNOTATION, progress};
use crate::error::Error;
use crate::plan::{Desired, current, delete, next_plan};

const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(30);
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
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    tracing::warn!(cluster = %cluster.name_any(), error = %text, "a cluster could not be driven on");
    Action::requeue(SOON)
}

/// What a look leads to.
enum Next {
    /// Look again at once.
    Again,
    /// Look again later.
    After(Duration),
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
            let next = if cluster.metadata.deletion_timestamp.is_some() {
                self.delete(&access, &cluster).await?
            } else {
                self.create(&access, &cluster).await?
            };
            if let Next::After(pause) = next {
                return Ok(pause);
            }
        }
        Ok(SOON)
    }

    async fn create(&self, access: &Access, cluster: &Cluster) -> Result<Next, Error> {
        let now = Timestamp::now();
        let name = cluster.name_any();
        if !cluster
            .finalizers()
            .iter()
            .any(|known| known == keys::CLUSTER_FINALIZER)
        {
            set_finalizer(access, cluster, true).await?;
            return Ok(Next::Again);
        }
        if cluster
            .annotations()
            .get(keys::PAUSED)
            .is_some_and(|value| value == "true")
        {
            let word = Word {
                phase: phase(cluster),
                reason: Some("paused by annotation".to_owned()),
                ..Word::default()
            };
            return tell(access, cluster, None, None, word, now)
                .await
                .map(|()| Next::After(LATER));
        }
        let (bundle, release) = match documents::read(access, cluster).await? {
            Documents::Good(bundle, release) => (bundle, release),
            Documents::Bad(reason, message) => return refuse(access, cluster, reason, message, now).await,
        };
        let desired = Desired::new(&bundle, &release.spec);
        let mut seen = look::read(access, &name, Some(desired.clone())).await?;
        if let Some(known) = access.get::<ControlPlane>(&name).await?
            && known.spec.version != desired.version
        {
            let message = format!(
                "the cluster has Kubernetes {}; an upgrade to {} is not carried out by this version",
                known.spec.version, desired.version
            );
            return refuse(access, cluster, FailureReason::ClusterInvalid, message, now).await;
        }
        let api = self
            .connections
            .ask(&access.namespace, &name, &mut seen, now)
            .await;
        let answers = matches!(seen.snapshot.api, ApiSeen::Answers { .. });
        let initialized = answers || status::holds(cluster, "ControlPlaneInitialized");
        if let Some((number, spec)) = next_plan(&desired, &seen.plans, &seen.snapshot.existing(), initialized)
        {
            if seen.snapshot.existing().is_empty()
                && let Some(message) = documents::hardware(access, &bundle).await?
            {
                return refuse(access, cluster, FailureReason::HardwareInvalid, message, now).await;
            }
            store_plan(access, &name, number, &spec, &seen.plans).await?;
            return Ok(Next::Again);
        }
        self.carry_on(access, cluster, seen, api, &release.spec, now)
            .await
    }

    async fn delete(&self, access: &Access, cluster: &Cluster) -> Result<Next, Error> {
        let now = Timestamp::now();
        let name = cluster.name_any();
        if !cluster
            .finalizers()
            .iter()
            .any(|known| known == keys::CLUSTER_FINALIZER)
        {
            return Ok(Next::After(LATER));
        }
        let seen = look::read(access, &name, None).await?;
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
        self.carry_on(access, cluster, seen, None, &ReleaseSpec::default(), now)
            .await
    }

    /// Takes the plan that counts one decision further.
    async fn carry_on(
        &self,
        access: &Access,
        cluster: &Cluster,
        seen: Seen,
        api: Option<Arc<dyn NewCluster>>,
        release: &ReleaseSpec,
        now: Timestamp,
    ) -> Result<Next, Error> {
        let name = cluster.name_any();
        let Seen {
            snapshot,
            secrets,
            plans,
        } = seen;
        let Some((_, plan)) = current(&plans, &name) else {
            return Ok(Next::After(SOON));
        };
        let mut plan = plan.clone();
        let mut progress = progress::status(&plan);
        match progress.phase {
            PlanPhase::Done if plan.spec.class == PlanClass::Delete => {
                access.delete::<Plan>(&plan.name_any()).await?;
                set_finalizer(access, cluster, false).await?;
                return Ok(Next::After(LATER));
            }
            PlanPhase::Pending => {
                if approve(&self.options, &plan, &mut progress, now) {
                    write_plan(access, &mut plan, progress).await?;
                    return Ok(Next::Again);
                }
                let reason = format!(
                    "plan {} waits for approval: annotate it with {APPROVED_BY}=NAME",
                    plan.name_any()
                );
                let word = Word {
                    phase: "Planning",
                    reason: Some(reason),
                    ..Word::default()
                };
                tell(access, cluster, Some(&snapshot), Some(&plan), word, now).await?;
                return Ok(Next::After(LATER));
            }
            PlanPhase::Done | PlanPhase::Failed | PlanPhase::Superseded => {
                let pause = if matches!(snapshot.api, ApiSeen::Answers { .. }) {
                    LATER
                } else {
                    SOON
                };
                let word = resting(&plan, &progress);
                tell_machines(access, &snapshot, None, now).await?;
                tell(access, cluster, Some(&snapshot), Some(&plan), word, now).await?;
                return Ok(Next::After(pause));
            }
            PlanPhase::Executing => {}
        }
        let Some(step) = progress::at_hand(&plan, &progress).cloned() else {
            return Ok(Next::After(SOON));
        };
        progress::start(&mut progress, &step, now);
        if let Some(reason) = progress::overdue(&progress, &step, now) {
            progress::failed(&mut progress, &step.id, &reason, now);
            write_plan(access, &mut plan, progress).await?;
            return Ok(Next::Again);
        }
        let mut decision = states::decide(&step, &snapshot, now);
        if let Decision::Do(effect) = &decision {
            tracing::info!(cluster = %name, step = %step.id, effect = ?effect, "a step of the plan acts");
            let work = Work {
                access: access.clone(),
                options: &self.options,
                profile: profile(cluster, self.options.profile),
                release,
                cluster: &name,
                snapshot: &snapshot,
                secrets,
                api,
                now,
            };
            match carry_out(&work, effect).await? {
                None => {
                    write_plan(access, &mut plan, progress).await?;
                    return Ok(Next::Again);
                }
                Some(reason) => {
                    decision = Decision::Wait {
                        reason,
                        percent: None,
                    }
                }
            }
        }
        match decision {
            Decision::Wait { reason, .. } => {
                progress::wait(&mut progress, &step.id, &reason);
                let deadline = progress::row(&progress, &step.id)
                    .and_then(|row| row.deadline.as_ref().map(|time| time.0));
                write_plan(access, &mut plan, progress).await?;
                let at = step
                    .machine
                    .clone()
                    .map(|machine| (machine, reason.clone(), deadline));
                tell_machines(access, &snapshot, at, now).await?;
                let word = Word {
                    phase: busy(&plan),
                    reason: Some(reason),
                    deadline,
                    failure: None,
                };
                tell(access, cluster, Some(&snapshot), Some(&plan), word, now).await?;
                Ok(Next::After(SOON))
            }
            Decision::Failed(reason) => {
                tracing::warn!(cluster = %name, step = %step.id, error = %reason, "a step of the plan has failed");
                progress::failed(&mut progress, &step.id, &reason, now);
                write_plan(access, &mut plan, progress).await?;
                Ok(Next::Again)
            }
            Decision::Done | Decision::Do(_) => {
                tracing::info!(cluster = %name, step = %step.id, "a step of the plan is done");
                progress::done(&mut progress, &step.id, now);
                write_plan(access, &mut plan, progress).await?;
                Ok(Next::Again)
            }
        }
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

async fn set_finalizer(access: &Access, cluster: &Cluster, add: bool) -> Result<(), Error> {
    let mut wanted: Vec<String> = cluster.finalizers().to_vec();
    wanted.retain(|name| name != keys::CLUSTER_FINALIZER);
    if add {
        wanted.push(keys::CLUSTER_FINALIZER.to_owned());
    }
    // "add" replaces a member that is there, so one form serves all cases.
    let patch = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": cluster.resource_version() },
        { "op": "add", "path": "/metadata/finalizers", "value": wanted },
    ]);
    access.json_patch::<Cluster>(&cluster.name_any(), patch).await
}

fn profile(cluster: &Cluster, ordinary: Profile) -> Profile {
    match cluster.annotations().get(PROFILE_ANNOTATION).map(String::as_str) {
        Some("lab") => Profile::Lab,
        Some("standard") => Profile::Standard,
        _ => ordinary,
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
