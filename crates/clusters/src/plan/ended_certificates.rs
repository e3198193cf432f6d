//! Certificates of a control plane that have ended: its members refuse each other, no Pod can be started, and nobody can be asked.
//! Each such machine starts the installer once, one after the other, which renews them on its disk. A person approves that.

use jiff::Timestamp;
use resources::gantry::PlanStepKind;

use super::certificate_state::MemberCertificates;
use super::draft::Draft;
use super::seen::{ApiState, Seen};
use super::verdict::Verdict;
use super::wanted::Wanted;

/// The steps by which certificates that have ended are renewed, while the cluster's API is silent, or when that has begun. A member
/// that shows none counts when a person asks for new ones. Nothing else is planned meanwhile.
pub(crate) fn repair(wanted: &Wanted, seen: &Seen, now: Timestamp, verdict: &mut Verdict) -> Option<Draft> {
    let state = &seen.certificates;
    if seen.api == ApiState::Answers && !state.repairing {
        return None;
    }
    let stays = |name: &str| {
        let mut members = seen.members.iter();
        members.any(|member| member.name == name && !member.is_leaving())
    };
    // When they have ended, where that was seen.
    let needs = |known: &MemberCertificates| match known.ends {
        Some(_) => known.ended(now).map(Some),
        None => known.is_older_than(state.requested_at).then_some(None),
    };
    let members = state.members.iter().filter(|(name, _)| stays(name));
    let ended: Vec<_> = members
        .filter_map(|(name, known)| Some((name.as_str(), needs(known)?)))
        .collect();
    let mut repairs = Draft::new(seen);
    let Some((first, _)) = ended.first() else {
        // What is begun comes to its end, before anything else restarts a member.
        return state.repairing.then_some(repairs);
    };
    if let Some(again) = state.again_at.filter(|again| *again > now && !state.repairing) {
        verdict.look_at(again);
        let reason = format!(
            "the certificates of {first}, which have ended, could not be renewed, as the last plan for it says; it is tried again at \
             {again:.0}; sooner: gantry renew certificates {}",
            wanted.name
        );
        verdict.block(first, reason);
        return Some(repairs);
    }
    let mut last = Vec::new();
    for (machine, _) in &ended {
        last = vec![repairs.add(PlanStepKind::RepairCertificates, Some(machine), last)];
    }
    repairs.add(PlanStepKind::Finish, None, last);
    repairs.requires_approval = Some(why(&ended));
    Some(repairs)
}

fn why(ended: &[(&str, Option<Timestamp>)]) -> String {
    let names: Vec<&str> = ended.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let cause = match ended.iter().filter_map(|(_, ends)| *ends).min() {
        Some(first) => format!(
            "the certificates of {names} have ended, the first on {},",
            first.strftime("%Y-%m-%d")
        ),
        None => format!("a person asks for new certificates, {names} shows none"),
    };
    format!(
        "{cause} and the cluster's API does not answer: one after the other is powered off, starts the installer, which renews them on \
         its disk if they have ended, and starts its system again; what runs on it is interrupted"
    )
}
