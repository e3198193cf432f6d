//! New certificates: the Pods that renew those of members of a control plane, and the kubeconfig, which the appliance signs
//! itself.

use compare_and_set::Change;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use node_config::{Renewal, renewal_pod};
use pki::Validity;
use resources::gantry::CertificateRepair;

use super::decision::RenewalEffect;
use super::work::Work;
use crate::access::Access;
use crate::error::Error;
use crate::observe::{ApiSeen, Connection, KubeconfigSeen, Snapshot};
use crate::plan::{can_restart, is_renewed};
use crate::secrets;

const REQUESTED_AT: [&str; 2] = ["spec", "renewalRequestedAt"];

/// Carries an effect out; `Ok(Some(_))` says what it waits for.
pub(super) async fn act(work: &Work<'_>, effect: &RenewalEffect) -> Result<Option<String>, Error> {
    match effect {
        RenewalEffect::Run(machine) => run(work, machine).await,
        RenewalEffect::Drop(pod) => drop_pod(work, pod).await,
        RenewalEffect::Repair { machine, node } => {
            if let Some(provider) = work.snapshot.provider_machines.get(machine) {
                let wish = CertificateRepair {
                    number: work.plan.spec.number,
                    node: node.clone(),
                };
                tracing::info!(
                    cluster = work.snapshot.cluster,
                    machine,
                    "certificates that have ended are renewed in the installer"
                );
                let path = ["spec", "certificateRepair"];
                work.access.set(&**provider, &path, &wish).await?;
            }
            Ok(None)
        }
        RenewalEffect::Note(machine) => {
            if let Some(provider) = work.snapshot.provider_machines.get(machine) {
                let path = ["spec", "certificatesRenewedAt"];
                let time = Time(work.snapshot.issue_time(work.now));
                work.access.set(&**provider, &path, &time).await?;
            }
            Ok(None)
        }
    }
}

/// Starts the Pod. Etcd is asked once more before: what was seen at the beginning of this run may be over.
async fn run(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let snapshot = work.snapshot;
    let (Some(connection), Some(name)) = (work.connection, snapshot.renewal_pod(machine)) else {
        return Ok(Some(format!("{machine}: waits for the cluster's API")));
    };
    let Some(node) = snapshot.own_node(machine) else {
        return Ok(Some(format!("{machine}: its node is not in the cluster")));
    };
    let address = snapshot
        .address(machine, "InternalIP")
        .and_then(|address| address.parse().ok());
    let Some(address) = address else {
        return Ok(Some(format!(
            "{machine}: its driver does not say which address it has"
        )));
    };
    match connection.etcd.observe().await {
        Ok(view) => {
            let is_healthy = |member: &&etcd::MemberView| member.health == etcd::Health::Healthy;
            let (all, healthy) = (view.voters().count(), view.voters().filter(is_healthy).count());
            if !can_restart(all, healthy) {
                return Ok(Some(format!(
                    "{machine}: {healthy} of {all} members of etcd answer, so none is restarted: {}",
                    view.faults()
                )));
            }
        }
        Err(error) => return Ok(Some(format!("{machine}: {}", causes::line(&error)))),
    }
    let image = match connection.api.api_server_image(node.name.clone()).await {
        Ok(Some(image)) => image,
        Ok(None) => return Ok(Some(format!("{machine}: node {} runs no API server", node.name))),
        Err(why) => return Ok(Some(format!("{machine}: cannot ask for its API server: {why}"))),
    };
    let pod = renewal_pod(&Renewal {
        name: &name,
        machine,
        node: &node.name,
        address,
        image: &image,
    });
    tracing::info!(
        cluster = snapshot.cluster,
        machine,
        pod = name,
        "renewing certificates"
    );
    let applied = connection.api.apply(vec![pod]).await;
    Ok(applied
        .err()
        .map(|why| format!("{machine}: cannot start Pod {name}: {why}")))
}

async fn drop_pod(work: &Work<'_>, pod: &str) -> Result<Option<String>, Error> {
    let Some(connection) = work.connection else {
        return Ok(Some(format!("Pod {pod} stays until the cluster's API answers")));
    };
    let deleted = connection.api.delete_pod(pod.to_owned()).await;
    Ok(deleted.err().map(|why| format!("cannot delete Pod {pod}: {why}")))
}

/// Deletes the Pods that no plan needs any more. What can't be deleted is tried again at the next look.
pub(crate) async fn drop_renewals(snapshot: &Snapshot, connection: Option<&Connection>) {
    let (Some(connection), Some(pods)) = (connection, &snapshot.renewals) else {
        return;
    };
    let needed = snapshot.needed_renewal_pod();
    let left = pods
        .iter()
        .filter(|pod| !pod.deleting && Some(&pod.name) != needed.as_ref());
    for pod in left {
        if let Err(why) = connection.api.delete_pod(pod.name.clone()).await {
            tracing::warn!(
                cluster = snapshot.cluster,
                pod = pod.name,
                error = why,
                "a Pod that renewed certificates stays"
            );
        }
    }
}

/// Makes the kubeconfig anew before it ends or when a person asks for it, and takes that wish back when it is fulfilled. Tells
/// whether anything was written.
pub(crate) async fn renew_kubeconfig(
    access: &Access,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(control_plane) = &snapshot.control_plane else {
        return Ok(false);
    };
    let requested_at = snapshot.renewal_requested_at();
    if requested_at.is_some_and(|asked| asked > now) {
        // By a clock that is ahead. Nothing could be younger than that.
        access.set(&**control_plane, &REQUESTED_AT, &Time(now)).await?;
        return Ok(true);
    }
    let (Some(kubeconfig), Some(wanted)) = (snapshot.kubeconfig, &snapshot.wanted) else {
        return Ok(false);
    };
    if is_due(kubeconfig, requested_at, now) {
        let issued = snapshot.issue_time(now);
        secrets::write_kubeconfig(access, &wanted.name, &wanted.endpoint, issued).await?;
        return Ok(true);
    }
    let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
    let over = answers && requested_at.is_some() && is_renewed(&snapshot.certificate_state(now));
    if over {
        let change = Change::remove(&REQUESTED_AT);
        access.change(&**control_plane, vec![change]).await?;
    }
    Ok(over)
}

fn is_due(kubeconfig: KubeconfigSeen, requested_at: Option<Timestamp>, now: Timestamp) -> bool {
    let (Some(issued), Some(ends)) = (kubeconfig.issued, kubeconfig.ends) else {
        return true;
    };
    let asked = requested_at.is_some_and(|asked| issued.as_second() <= asked.as_second());
    asked || Validity::until(issued, ends).is_renewal_due(now)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_kubeconfig_is_renewed_after_two_thirds_of_its_life_or_when_somebody_asks() {
        let at = |days: i64| {
            Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * days)
        };
        // Made and ending at these days, asked for, today; whether it is renewed.
        let cases = [
            (None, None, 0, true),
            (Some((0, 365)), None, 243, false),
            (Some((0, 365)), None, 244, true),
            (Some((0, 365)), Some(10), 20, true),
            (Some((10, 375)), Some(10), 20, true),
            (Some((11, 376)), Some(10), 20, false),
            (Some((0, 365)), None, 400, true),
        ];
        for (made, asked, today, due) in cases {
            let kubeconfig = KubeconfigSeen {
                issued: made.map(|(issued, _)| at(issued)),
                ends: made.map(|(_, ends)| at(ends)),
            };
            assert_eq!(
                is_due(kubeconfig, asked.map(at), at(today)),
                due,
                "{made:?} {asked:?} {today}"
            );
        }
    }
}
