//! One decision of the plan that counts: its phase, the step at hand, the effect, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use cluster_spec::Violation;
use jiff::Timestamp;
use kube::ResourceExt;
use node_config::Profile;
use resources::anywhere::Cluster;
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanStatus, PlanStep, ReleaseSpec};
use resources::keys;

use super::access::Access;
use super::documents;
use super::effects::{Work, carry_out};
use super::look::Seen;
use super::new_cluster::NewCluster;
use super::pin::Pin;
use super::snapshot::{ApiSeen, Options};
use super::states::{self, Decision};
use super::status::Word;
use super::tell::{tell, tell_machines, write_plan};
use super::words::{approve, busy, resting};
use super::{APPROVED_BY, PROFILE_ANNOTATION, progress};
use crate::error::Error;
use crate::plan::current;

/// Pause after which something may have moved.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Pause after which somebody may have changed something.
pub(crate) const LATER: Duration = Duration::from_secs(30);

/// What a look leads to.
pub(crate) enum Next {
    /// Look again at once.
    Again,
    /// Look again later.
    After(Duration),
}

/// Everything of one round.
pub(crate) struct Round<'a> {
    pub(crate) options: &'a Options,
    pub(crate) access: &'a Access,
    pub(crate) cluster: &'a Cluster,
    pub(crate) seen: &'a Seen,
    pub(crate) api: Option<Arc<dyn NewCluster>>,
    pub(crate) release: &'a ReleaseSpec,
    /// What machines are made from; `None` while the cluster is being deleted.
    pub(crate) pin: Option<&'a Pin>,
    /// Changes of the documents that are not carried out.
    pub(crate) refused: &'a [Violation],
    pub(crate) now: Timestamp,
}

impl Round<'_> {
    /// Takes the plan that counts one decision further.
    pub(crate) async fn carry_on(self) -> Result<Next, Error> {
        let Some((_, plan)) = current(&self.seen.plans, &self.cluster.name_any()) else {
            return Ok(Next::After(SOON));
        };
        let mut plan = plan.clone();
        let mut progress = progress::status(&plan);
        match progress.phase {
            PlanPhase::Done if plan.spec.class == PlanClass::Delete => {
                self.access.delete::<Plan>(&plan.name_any()).await?;
                set_finalizer(self.access, self.cluster, false).await?;
                Ok(Next::After(LATER))
            }
            PlanPhase::Pending => {
                if approve(self.options, &plan, &mut progress, self.now) {
                    write_plan(self.access, &mut plan, progress).await?;
                    return Ok(Next::Again);
                }
                let reason = format!(
                    "plan {} waits for approval: annotate it with {APPROVED_BY}=NAME",
                    plan.name_any()
                );
                self.tell(
                    &plan,
                    Word {
                        phase: "Planning",
                        reason: Some(reason),
                        ..Word::default()
                    },
                )
                .await?;
                Ok(Next::After(LATER))
            }
            PlanPhase::Done | PlanPhase::Failed | PlanPhase::Superseded => {
                let stopped = progress.phase == PlanPhase::Failed;
                let given_back = stopped.then(|| states::after_failure(plan.spec.class, &self.seen.snapshot));
                if let Some(effect) = given_back.flatten() {
                    tracing::info!(cluster = %self.cluster.name_any(), plan = %plan.name_any(), ?effect, "a stopped plan gives back");
                    carry_out(&self.work(), &effect).await?;
                    return Ok(Next::Again);
                }
                tell_machines(self.access, &self.seen.snapshot, None, self.now).await?;
                self.tell(&plan, resting(&plan, &progress)).await?;
                let answers = matches!(self.seen.snapshot.api, ApiSeen::Answers { .. });
                Ok(Next::After(if answers { LATER } else { SOON }))
            }
            PlanPhase::Executing => match progress::at_hand(&plan, &progress).cloned() {
                Some(step) => self.step(plan, progress, &step).await,
                None => Ok(Next::After(SOON)),
            },
        }
    }

    /// Decides the step at hand, does what it says and tells of it.
    async fn step(self, mut plan: Plan, mut progress: PlanStatus, step: &PlanStep) -> Result<Next, Error> {
        progress::start(&mut progress, step, self.now);
        let machine = step.machine.as_deref();
        if let Some(until) = machine.and_then(|machine| self.seen.snapshot.power_on_until(machine)) {
            progress::count_from(&mut progress, step, until);
        }
        let snapshot = &self.seen.snapshot;
        if progress::overdue(&progress, step, self.now).is_some() && states::may_take_longer(step, snapshot) {
            progress::count_from(&mut progress, step, self.now);
        }
        let decision = match progress::overdue(&progress, step, self.now) {
            Some(reason) => Decision::Failed(reason),
            None => states::decide(plan.spec.class, step, snapshot, self.now),
        };
        match self.act(step, decision).await? {
            Decision::Wait { reason, .. } => return self.wait(plan, progress, step, reason).await,
            // The effect is done; what it led to shows at the next look.
            Decision::Do(_) => {}
            Decision::Failed(reason) => {
                progress::failed(&mut progress, &step.id, &reason, self.now);
                self.report(step, Some(&reason));
            }
            Decision::Done => {
                progress::done(&mut progress, &step.id, self.now);
                self.report(step, None);
            }
        }
        write_plan(self.access, &mut plan, progress).await?;
        Ok(Next::Again)
    }

    /// Carries the effect of a decision out; an effect that the new cluster does not take is a wait.
    async fn act(&self, step: &PlanStep, decision: Decision) -> Result<Decision, Error> {
        let Decision::Do(effect) = &decision else {
            return Ok(decision);
        };
        let cluster = self.cluster.name_any();
        tracing::info!(%cluster, step = %step.id, ?effect, "a step of the plan acts");
        let refused = carry_out(&self.work(), effect).await?;
        Ok(refused.map_or(decision, |reason| Decision::Wait {
            reason,
            percent: None,
        }))
    }

    async fn wait(
        &self,
        mut plan: Plan,
        mut progress: PlanStatus,
        step: &PlanStep,
        reason: String,
    ) -> Result<Next, Error> {
        progress::wait(&mut progress, &step.id, &reason);
        let row = progress::row(&progress, &step.id);
        let deadline = row.and_then(|row| row.deadline.as_ref().map(|time| time.0));
        write_plan(self.access, &mut plan, progress).await?;
        let at = step
            .machine
            .clone()
            .map(|machine| (machine, reason.clone(), deadline));
        tell_machines(self.access, &self.seen.snapshot, at, self.now).await?;
        let word = Word {
            phase: busy(&plan),
            reason: Some(reason),
            deadline,
            failure: None,
        };
        self.tell(&plan, word).await?;
        Ok(Next::After(SOON))
    }

    fn report(&self, step: &PlanStep, failure: Option<&str>) {
        let cluster = self.cluster.name_any();
        match failure {
            None => tracing::info!(%cluster, step = %step.id, "a step of the plan is done"),
            Some(error) => tracing::warn!(%cluster, step = %step.id, error, "a step of the plan has failed"),
        }
    }

    async fn tell(&self, plan: &Plan, mut word: Word) -> Result<(), Error> {
        if let Some(first) = self.refused.first() {
            word.reason.get_or_insert_with(|| first.to_string());
            word.failure
                .get_or_insert_with(|| (documents::class(first), documents::lines(self.refused)));
        }
        tell(
            self.access,
            self.cluster,
            Some(&self.seen.snapshot),
            Some(plan),
            word,
            self.now,
        )
        .await
    }

    fn work(&self) -> Work<'_> {
        Work {
            access: self.access.clone(),
            options: self.options,
            profile: profile(self.cluster, self.options.profile),
            release: self.release,
            pin: self.pin,
            cluster: self.cluster.name_any(),
            snapshot: &self.seen.snapshot,
            secrets: &self.seen.secrets,
            api: self.api.clone(),
            now: self.now,
        }
    }
}

/// Holds the Cluster until everything of it is given back, or lets it go.
pub(crate) async fn set_finalizer(access: &Access, cluster: &Cluster, add: bool) -> Result<(), Error> {
    access.hold(cluster, keys::CLUSTER_FINALIZER, add).await
}

fn profile(cluster: &Cluster, ordinary: Profile) -> Profile {
    match cluster.annotations().get(PROFILE_ANNOTATION).map(String::as_str) {
        Some("lab") => Profile::Lab,
        Some("standard") => Profile::Standard,
        _ => ordinary,
    }
}
