//! Certificates of a control plane that are renewed before they end, or when a person asks for it: one member after the other,
//! while the others do without it.

use jiff::{SignedDuration, Timestamp};
use node_config::{AddressHolder, RESTART_SECONDS};
use resources::gantry::{MachineRole, PlanStepKind};

use super::balance::Policy;
use super::certificate_state::{CertificateState, MemberCertificates};
use super::draft::Draft;
use super::quorum::can_restart;
use super::seen::{ApiState, EtcdMember, EtcdState, Member, NodeState, Seen, Stage};
use super::verdict::Verdict;
use super::wanted::Wanted;

/// From when on the renewal goes before everything else, and the cluster says that its certificates end.
pub(crate) const URGENT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Members whose turn comes so soon are renewed along with the first one.
const TOGETHER: SignedDuration = SignedDuration::from_hours(24 * 7);
/// Seconds for which nobody serves a control plane that has no other member: etcd and API server restart one after the other,
/// and so does kube-vip.
const fn alone(holder: &AddressHolder) -> u32 {
    let restarts = match holder {
        AddressHolder::KubeVip { .. } => 3,
        AddressHolder::Keepalived { .. } | AddressHolder::LoadBalancer => 2,
    };
    restarts * RESTART_SECONDS
}

/// When certificates are to be renewed. Short-lived ones have two thirds of their life.
fn renewal_time(known: &MemberCertificates, policy: Policy) -> Option<Timestamp> {
    let ends = known
        .ends
        .filter(|_| policy.renew_before > SignedDuration::ZERO)?;
    let third = ends.duration_since(known.issued).checked_div(3)?;
    ends.checked_sub(policy.renew_before.min(third)).ok()
}

/// Whether nothing else is as important.
fn is_urgent(known: &MemberCertificates, now: Timestamp) -> bool {
    known.ends.is_some_and(|ends| ends.duration_since(now) <= URGENT)
}

/// Whether what a person asked for is done.
pub(crate) fn is_renewed(state: &CertificateState) -> bool {
    let mut members = state.members.values();
    state.under_way.is_none() && !members.any(|known| known.is_older_than(state.requested_at))
}

/// The renewals that take the place of `draft`, if any do: those that nothing else waits for, those that can't wait, and one
/// that has begun.
pub(crate) fn renew(
    wanted: &Wanted,
    seen: &Seen,
    policy: Policy,
    now: Timestamp,
    draft: &Draft,
    verdict: &mut Verdict,
) -> Option<Draft> {
    let state = &seen.certificates;
    let under_way = state.under_way.as_ref();
    let due = |at: Timestamp| {
        let is_due = move |known: &MemberCertificates| {
            let due = renewal_time(known, policy).is_some_and(|due| due <= at);
            due || known.is_older_than(state.requested_at)
        };
        let members = state.members.iter().filter(move |(_, known)| is_due(known));
        members.map(|(name, known)| (name, *known))
    };
    if under_way.is_none() {
        let (first, _) = due(now).next()?;
        let urgent = due(now).any(|(_, known)| is_urgent(&known, now));
        let waits = !draft.is_empty() || !verdict.rolling.is_empty() || !verdict.blocked.is_empty();
        if waits && !urgent {
            return None;
        }
        if let Some(again) = state.again_at.filter(|again| *again > now) {
            verdict.look_at(again);
            if urgent || state.requested_at.is_some() {
                let reason = format!(
                    "the certificates of {first} could not be renewed, as the last plan for it says; it is tried again at {again}"
                );
                verdict.block(first, reason);
            }
            return None;
        }
        if let Err(why) = may_restart(seen, first) {
            verdict.block(
                first,
                format!("the certificates of {first} are to be renewed, which restarts it: {why}"),
            );
            return None;
        }
    }
    let soon = now.checked_add(TOGETHER).unwrap_or(now);
    let others = due(soon)
        .map(|(name, _)| name)
        .filter(|name| Some(*name) != under_way);
    let mut renewals = Draft::new(seen);
    let mut last = Vec::new();
    for machine in under_way.into_iter().chain(others) {
        last = vec![renewals.add(PlanStepKind::RenewCertificates, Some(machine), last)];
    }
    // Two members need each other as much as one needs itself.
    if voters(seen).count() < 3 {
        renewals.restart_seconds = Some(alone(&wanted.address_holder));
    }
    Some(renewals)
}

fn voters(seen: &Seen) -> impl Iterator<Item = &EtcdMember> {
    let members = match &seen.etcd {
        EtcdState::Members(members) => members.as_slice(),
        EtcdState::Unknown => &[],
    };
    members.iter().filter(|member| member.voting)
}

/// Whether the control plane bears that a member is restarted.
fn may_restart(seen: &Seen, machine: &str) -> Result<(), String> {
    if seen.api != ApiState::Answers {
        return Err("the cluster's API does not answer".to_owned());
    }
    let is_member = |member: &&Member| member.role == MachineRole::ControlPlane && !member.is_leaving();
    let mut members = seen.members.iter().filter(is_member);
    if let Some(joins) = members.find(|member| member.joining || member.stage == Stage::Asks) {
        return Err(format!("{} joins the control plane", joins.name));
    }
    let target = seen.members.iter().find(|member| member.name == machine);
    if target.is_none_or(|target| target.node != NodeState::Ready) {
        return Err("its node is not Ready".to_owned());
    }
    let (all, healthy) = (
        voters(seen).count(),
        voters(seen).filter(|member| member.healthy).count(),
    );
    let votes = |member: &EtcdMember| member.healthy && member.machine.as_deref() == Some(machine);
    if !voters(seen).any(votes) {
        return Err("it is no healthy voting member of etcd".to_owned());
    }
    match can_restart(all, healthy) {
        true => Ok(()),
        false => Err(format!(
            "{healthy} of {all} members of etcd answer, and they would be too few without it"
        )),
    }
}
