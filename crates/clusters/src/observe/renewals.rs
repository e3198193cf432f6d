//! Renewals of certificates, as plans and members show them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::gantry::{MachineRole, Plan, PlanClass, PlanPhase, PlanStepKind, StepState};

use super::snapshot::Snapshot;
use super::workload::RenewalPod;
use crate::plan::{CertificateState, MemberCertificates};

/// How long after the end of a plan Pods of it are looked for.
const LEFT: SignedDuration = SignedDuration::from_hours(1);
/// When a renewal that has failed is tried again: after this time, after twice this time, and so on up to the longest.
const PAUSE: SignedDuration = SignedDuration::from_mins(10);
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

impl Snapshot {
    /// What the planner looks at.
    pub(crate) fn certificate_state(&self, now: Timestamp) -> CertificateState {
        let members = self.provider_machines.iter().filter(|(name, provider)| {
            provider.spec.role == MachineRole::ControlPlane && self.has_joined(name) && !self.is_going(name)
        });
        // Also those whose certificates were not looked at yet: what a person asked for is not done before they are renewed.
        let members = members.map(|(name, provider)| {
            let renewed = provider.spec.certificates_renewed_at.as_ref();
            let made = renewed.or(provider.metadata.creation_timestamp.as_ref());
            let issued = made.map_or(now, |time| time.0);
            let ends = self.certificates.get(name).and_then(|seen| seen.ends());
            // What ended before these were made was seen of those before.
            let ends = ends.filter(|ends| *ends > issued);
            let known = MemberCertificates { issued, ends };
            (name.clone(), known)
        });
        CertificateState {
            requested_at: self.renewal_requested_at(),
            members: members.collect(),
            repairing: self.is_repairing(),
            under_way: self.renewal_under_way().map(str::to_owned),
            again_at: self.renewal_again_at(),
        }
    }

    /// When a person asked for new certificates.
    pub(crate) fn renewal_requested_at(&self) -> Option<Timestamp> {
        let spec = &self.control_plane.as_ref()?.spec;
        spec.renewal_requested_at.as_ref().map(|time| time.0)
    }

    /// When what is made now counts as made: after the request, which is in whole seconds, as the times of objects are.
    pub(crate) fn issue_time(&self, now: Timestamp) -> Timestamp {
        let asked = self.renewal_requested_at();
        let later = asked.map(|asked| steps::later(asked, SignedDuration::from_secs(1)));
        later.map_or(now, |later| later.max(now))
    }

    /// The machine whose certificates the plan that is carried out renews now.
    pub(crate) fn renewal_under_way(&self) -> Option<&str> {
        let plan = self.plan().filter(|plan| plan.phase() == PlanPhase::Executing)?;
        let rows = plan.status.iter().flat_map(|status| &status.steps);
        let mut running = rows.filter(|row| row.state == StepState::Running);
        running.find_map(|row| {
            let mut steps = plan.spec.steps.iter();
            let step =
                steps.find(|step| step.id == row.id && step.kind == PlanStepKind::RenewCertificates)?;
            step.machine.as_deref()
        })
    }

    /// The plan that renews certificates which have ended, while it waits for an approval or is carried out.
    pub(crate) fn repair_plan(&self) -> Option<&Arc<Plan>> {
        let plan = self.plan().filter(|plan| plan.phase().is_under_way())?;
        let mut steps = plan.spec.steps.iter();
        steps
            .any(|step| step.kind == PlanStepKind::RepairCertificates)
            .then_some(plan)
    }

    fn is_repairing(&self) -> bool {
        let plan = self.repair_plan();
        plan.is_some_and(|plan| plan.phase() == PlanPhase::Executing)
    }

    /// The newest plans that renew certificates, the last one first.
    fn renewal_plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        let plans = self.plans.values().rev();
        plans.filter(|plan| plan.spec.class == PlanClass::Maintain)
    }

    /// The last plan that renews certificates, when it has failed.
    pub(crate) fn failed_renewal(&self) -> Option<&Arc<Plan>> {
        self.renewal_plans()
            .next()
            .filter(|plan| plan.phase() == PlanPhase::Failed)
    }

    /// When a renewal that has failed is tried again. Somebody who asks for it anew does not wait.
    fn renewal_again_at(&self) -> Option<Timestamp> {
        let failed_at = ended_at(self.failed_renewal()?)?;
        // Both are in whole seconds.
        if self
            .renewal_requested_at()
            .is_some_and(|asked| asked >= failed_at)
        {
            return None;
        }
        let failed = self
            .renewal_plans()
            .take_while(|plan| plan.phase() == PlanPhase::Failed);
        let failures = u32::try_from(failed.count()).unwrap_or(u32::MAX);
        let pause = steps::pause_after(failures, PAUSE, LONGEST);
        Some(steps::later(failed_at, pause))
    }

    /// Whether Pods may be in the cluster that renew certificates.
    pub(crate) fn may_have_renewals(&self, now: Timestamp) -> bool {
        let is_recent = |ended: Timestamp| steps::later(ended, LEFT) > now;
        let mut plans = self.renewal_plans();
        plans.any(|plan| plan.phase().is_under_way() || ended_at(plan).is_some_and(is_recent))
    }

    /// Name of the Pod that a plan renews the certificates of a machine by. No other plan and no other machine has the same.
    pub(crate) fn renewal_pod(&self, machine: &str) -> Option<String> {
        let uid = &self.provider_machines.get(machine)?.spec.machine_uid;
        Some(format!("gantry-renewal-{uid}-{}", self.plan()?.spec.number))
    }

    /// Whether a Pod may still change something: on a node that is dead it does not.
    pub(crate) fn is_at_work(&self, pod: &RenewalPod) -> bool {
        pod.is_open() && self.own_node(&pod.machine).is_some_and(|node| node.ready)
    }

    /// Name of the Pod that the plan that is carried out still needs.
    pub(crate) fn needed_renewal_pod(&self) -> Option<String> {
        self.renewal_pod(self.renewal_under_way()?)
    }
}

/// When a plan entered the phase that it is in.
fn ended_at(plan: &Arc<Plan>) -> Option<Timestamp> {
    let since = plan.status.as_ref().and_then(|status| status.since.as_ref());
    since.or(plan.creation_timestamp().as_ref()).map(|time| time.0)
}
