//! Certificates of a member of the control plane that have ended are renewed by its driver while the system of the machine does not
//! run. Done when the driver has done it: members serve nothing before a quorum of them has new ones, so what they show is waited
//! for at the end of the plan.

use steps::Step;

use crate::execute::decision::{Decision, Effect, RenewalEffect, View, done, fail};

pub(super) fn decide(view: View<'_>) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let provider = snapshot.provider_machines.get(machine);
    let Some(provider) = provider.filter(|_| !snapshot.is_going(machine)) else {
        // Its certificates go with it.
        return done();
    };
    if snapshot.is_pushed(machine) {
        return fail(format!(
            "{machine}: driver {} can't renew certificates while the system of a machine does not run; replace the machine: \
             gantry delete machine {machine}",
            provider.spec.provider
        ));
    }
    let Some(number) = snapshot.plan().map(|plan| plan.spec.number) else {
        return view.wait(format!("{machine}: its plan is being read"));
    };
    let wish = provider.spec.certificate_repair.as_ref();
    if wish.is_none_or(|wish| wish.number < number) {
        let Some(node) = snapshot.address(machine, "Hostname") else {
            return view.wait(format!(
                "{machine}: its driver does not say which name its node has"
            ));
        };
        return Step::Do(Effect::Renewal(RenewalEffect::Repair {
            machine: machine.to_owned(),
            node: node.to_owned(),
        }));
    }
    let status = provider.status.as_ref();
    let result = status.and_then(|status| status.certificate_repair.as_ref());
    let Some(result) = result.filter(|result| result.number == number) else {
        let reason = status.and_then(|status| status.reason.clone());
        return view.wait(format!(
            "{machine}: {}",
            reason.unwrap_or_else(|| "waits for its driver".to_owned())
        ));
    };
    if let Some(why) = &result.failure {
        return fail(format!(
            "{machine}: its certificates could not be renewed in the installer: {why}"
        ));
    }
    let renewed = provider.spec.certificates_renewed_at.as_ref();
    match renewed.is_some_and(|renewed| renewed.0 >= view.since) {
        true => done(),
        false => Step::Do(Effect::Renewal(RenewalEffect::Note(machine.to_owned()))),
    }
}
