//! The certificates of a member of the control plane are renewed by a Pod on its node. Done when the member shows the
//! certificates that the Pod has put in place.

use node_config::RenewalReport;
use pki::ServedCertificate;
use resources::Digest;
use steps::Step;

use crate::execute::decision::{Decision, Effect, RenewalEffect, View, done, fail};
use crate::observe::{RenewalPod, RenewalState};

pub(super) fn decide(view: View<'_>) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let provider = snapshot.provider_machines.get(machine);
    let Some(provider) = provider.filter(|_| !snapshot.is_going(machine)) else {
        // Its certificates go with it.
        return done();
    };
    let Some(pods) = &snapshot.renewals else {
        return view.wait(format!(
            "{machine}: the cluster's API does not answer while its certificates are renewed"
        ));
    };
    let own = snapshot.renewal_pod(machine).unwrap_or_default();
    let act = |effect| Step::Do(Effect::Renewal(effect));
    // One that another plan has begun works at the same files.
    if let Some(other) = pods
        .iter()
        .find(|pod| pod.name != own && snapshot.is_at_work(pod))
    {
        return match other.deleting {
            true => view.wait(format!("{machine}: waits until Pod {} has ended", other.name)),
            false => act(RenewalEffect::Drop(other.name.clone())),
        };
    }
    let pod = pods.iter().find(|pod| pod.name == own);
    let renewed = provider.spec.certificates_renewed_at.as_ref();
    if renewed.is_some_and(|renewed| renewed.0 >= view.since) {
        return match pod.filter(|pod| !pod.deleting) {
            Some(pod) => act(RenewalEffect::Drop(pod.name.clone())),
            None => done(),
        };
    }
    match pod {
        None => act(RenewalEffect::Run(machine.to_owned())),
        Some(pod) if pod.deleting => view.wait(format!("{machine}: somebody deletes Pod {own}")),
        Some(pod) => of_pod(view, pod),
    }
}

fn of_pod(view: View<'_>, pod: &RenewalPod) -> Decision {
    let (machine, name) = (view.machine(), &pod.name);
    match &pod.state {
        RenewalState::Waits(why) => view.wait(format!(
            "{machine}: Pod {name} is to renew its certificates: {why}"
        )),
        RenewalState::Runs => view.wait(format!(
            "{machine}: Pod {name} renews its certificates and restarts its control plane"
        )),
        RenewalState::Failed(why) => fail(format!(
            "{machine}: Pod {name} could not renew its certificates: {why}"
        )),
        RenewalState::Done(text) => {
            let Some(report) = RenewalReport::parse(text) else {
                return fail(format!(
                    "{machine}: Pod {name} has ended and does not say which certificates it has made"
                ));
            };
            let seen = view
                .snapshot
                .certificates
                .get(machine)
                .copied()
                .unwrap_or_default();
            let shows = |served: Option<ServedCertificate>, wanted: Digest| {
                served.is_some_and(|served| served.sha256 == wanted)
            };
            match (shows(seen.api, report.api_server), shows(seen.etcd, report.etcd)) {
                (true, true) => Step::Do(Effect::Renewal(RenewalEffect::Note(machine.to_owned()))),
                (false, _) => view.wait(format!(
                    "{machine}: its API server does not show its new certificate yet"
                )),
                (true, false) => view.wait(format!(
                    "{machine}: its etcd does not show its new certificate yet"
                )),
            }
        }
    }
}
