//! One file for each kind of step: what it waits for, what it does, when it is done. Pure.

mod certificates;
mod drain;
mod ended_certificates;
mod first_boot;
mod gates;
mod join;
mod member;
mod network;
mod only_member;
mod pki;
mod provision;
mod remove;
mod settle;
mod upgrade;

use resources::gantry::PlanStepKind;

use super::decision::{Decision, View, fail};

/// Decides a step that has started. A wait whose time is over is a failure.
pub(crate) fn decide(view: View<'_>) -> Decision {
    let decision = view.held_back().unwrap_or_else(|| of_kind(view));
    decision.or_at_deadline(view.now, |reason| {
        let minutes = view.step.deadline_minutes;
        fail(format!(
            "not done within {minutes} min; last it waited for: {reason}"
        ))
    })
}

fn of_kind(view: View<'_>) -> Decision {
    match view.step.kind {
        PlanStepKind::MakePki => pki::decide(view),
        PlanStepKind::Provision => provision::decide(view),
        PlanStepKind::InitControlPlane => only_member::start(view),
        PlanStepKind::JoinControlPlane => join::decide(view, join::How::ControlPlane),
        PlanStepKind::JoinWorker => join::decide(view, join::How::Worker),
        PlanStepKind::InstallCni => network::decide(view),
        PlanStepKind::Drain => drain::decide(view),
        PlanStepKind::SaveEtcd => only_member::save(view),
        PlanStepKind::RestoreControlPlane => only_member::restore(view),
        PlanStepKind::RenewCertificates => certificates::decide(view),
        PlanStepKind::RepairCertificates => ended_certificates::decide(view),
        PlanStepKind::RemoveMember => member::decide(view),
        PlanStepKind::RemoveMachine => remove::machine(view),
        PlanStepKind::RemoveCluster => remove::cluster(view),
        PlanStepKind::UpdateClusterConfig => upgrade::config(view),
        PlanStepKind::UpdateAddons => upgrade::addons(view),
        PlanStepKind::RunGates => gates::decide(view),
        PlanStepKind::Finish => settle::decide(view),
    }
}
