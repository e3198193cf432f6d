//! What is said of the certificates of a control plane.

use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::anywhere::ClusterCertificateInfo;
use resources::conditions::{Fact, Holds};
use resources::gantry::PlanPhase;

use crate::observe::Snapshot;
use crate::plan::URGENT;

const DAY: i64 = 24 * 60 * 60;

/// Machines and when the first certificate of each ends, by name.
fn ends(snapshot: &Snapshot) -> impl Iterator<Item = (&String, Timestamp)> {
    let seen = snapshot.certificates.iter();
    seen.filter_map(|(name, seen)| Some((name, seen.ends()?)))
}

/// The whole days that certificates have left. It changes once a day.
pub(super) fn info(snapshot: &Snapshot, now: Timestamp) -> Vec<ClusterCertificateInfo> {
    let info = |(machine, ends): (&String, Timestamp)| ClusterCertificateInfo {
        machine: machine.clone(),
        expires_in_days: ends.duration_since(now).as_secs().div_euclid(DAY),
    };
    ends(snapshot).map(info).collect()
}

/// Whether they count, and will go on to do so.
pub(super) fn fact(snapshot: &Snapshot, now: Timestamp) -> Fact {
    let kind = "CertificatesValid";
    let Some((machine, first)) = ends(snapshot).min_by_key(|(_, ends)| *ends) else {
        let text = "no member of the control plane has shown its certificates yet";
        return (kind, Holds::Unknown, "NotSeen", text.to_owned());
    };
    let day = first.strftime("%Y-%m-%d");
    if first <= now {
        let text = format!(
            "certificates of {machine} ended on {day}, so its API server and its etcd are refused: {}",
            way_out(snapshot)
        );
        return (kind, Holds::False, "Ended", text);
    }
    if first.duration_since(now) > URGENT {
        let text = format!("the first certificate of the control plane ends on {day}");
        return (kind, Holds::True, "Valid", text);
    }
    let name = &snapshot.cluster;
    let why = match (snapshot.renewal_under_way(), snapshot.failed_renewal()) {
        (Some(_), _) => "they are being renewed".to_owned(),
        (None, Some(plan)) => {
            let reason = plan.status.as_ref().and_then(|status| status.reason.clone());
            format!(
                "their renewal has failed and is tried again ({}); now: gantry renew certificates {name}",
                reason.unwrap_or_default()
            )
        }
        (None, None) => format!("renew them: gantry renew certificates {name}"),
    };
    let text = format!("certificates of {machine} end on {day}: {why}");
    (kind, Holds::False, "EndSoon", text)
}

/// What is done about certificates that have ended, and what a person can do.
fn way_out(snapshot: &Snapshot) -> String {
    if let Some(plan) = snapshot.repair_plan() {
        let name = plan.name_any();
        return match plan.phase() {
            PlanPhase::Pending => format!(
                "each machine of the control plane has to start the installer once, which renews them; approve that: gantry approve \
                 {name}"
            ),
            _ => format!("plan {name} renews them in the installer"),
        };
    }
    let failed = snapshot
        .failed_renewal()
        .and_then(|plan| plan.status.as_ref()?.reason.clone());
    let failed = failed.map(|why| format!("their renewal has failed ({why}) and is tried again; "));
    format!(
        "{}to renew them by hand, log in to each machine of the control plane, run `kubeadm certs renew all`, and move the files of \
         /etc/kubernetes/manifests out of that directory for a minute and back",
        failed.unwrap_or_default()
    )
}
