//! What members of control planes have shown, by cluster. It changes rarely, so they are asked once an hour, and more often
//! while their certificates are renewed.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use resources::gantry::MachineRole;

use super::certificates::{Authorities, Certificates, CertificatesSeen};
use super::snapshot::{ApiSeen, Snapshot};

/// How long what was seen counts, and after what time a member is asked again that did not answer, whose certificates have ended,
/// or whose cluster is silent: they may be others by now, which have.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
const AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Ports of a member of a control plane.
const API_PORT: u16 = 6443;
const ETCD_PORT: u16 = 2379;

/// What was seen, by cluster and machine.
#[derive(Debug, Default)]
pub(crate) struct CertificateViews(Mutex<HashMap<(String, String), BTreeMap<String, Known>>>);

#[derive(Debug, Clone)]
struct Known {
    /// Id of the machine: another one of this name has other certificates.
    uid: String,
    seen: CertificatesSeen,
    /// When it was asked.
    asked: Timestamp,
    /// Whether both of its ports answered.
    whole: bool,
}

impl Known {
    /// When the member is asked again.
    fn again(&self, answers: bool, now: Timestamp) -> Timestamp {
        let counts = self.whole && self.seen.ends().is_some_and(|ends| ends > now);
        steps::later(self.asked, if counts && answers { FRESH } else { AGAIN })
    }
}

impl CertificateViews {
    /// Drops what was seen of a cluster.
    pub(crate) fn forget(&self, key: &(String, String)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(key);
    }

    /// What the members of a cluster show. Those are asked of whom that is not known, or was seen too long ago, or whose
    /// certificates are being renewed.
    pub(crate) async fn look(
        &self,
        certificates: &dyn Certificates,
        authorities: &Authorities,
        key: &(String, String),
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> BTreeMap<String, CertificatesSeen> {
        let mut known = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(key).cloned().unwrap_or_default()
        };
        let members = &members(snapshot);
        known.retain(|name, known| members.get(name).is_some_and(|(uid, _)| *uid == known.uid));
        let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
        let repairs = snapshot.repair_plan().is_some();
        let due = |name: &&String| {
            let fresh = known
                .get(*name)
                .is_some_and(|known| now < known.again(answers, now));
            !fresh || repairs || snapshot.renewal_under_way() == Some(name.as_str())
        };
        let asked = members.keys().filter(due).map(|name| async move {
            let (uid, address) = &members[name];
            let at = |port| SocketAddr::new(*address, port);
            let (api, etcd) = futures::future::join(
                certificates.served(at(API_PORT), Arc::clone(&authorities.api)),
                certificates.served(at(ETCD_PORT), Arc::clone(&authorities.etcd)),
            )
            .await;
            (name.clone(), uid.clone(), api, etcd)
        });
        for (name, uid, api, etcd) in futures::future::join_all(asked).await {
            let before = known.get(&name).map(|known| known.seen).unwrap_or_default();
            let whole = api.is_ok() && etcd.is_ok();
            // Who does not answer has what it had.
            let seen = CertificatesSeen {
                api: api.ok().or(before.api),
                etcd: etcd.ok().or(before.etcd),
            };
            let asked = now;
            known.insert(
                name,
                Known {
                    uid,
                    seen,
                    asked,
                    whole,
                },
            );
        }
        let seen = known
            .iter()
            .map(|(name, known)| (name.clone(), known.seen))
            .collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key.clone(), known);
        seen
    }
}

/// Id and address of the machines on which members of the control plane run.
fn members(snapshot: &Snapshot) -> BTreeMap<String, (String, IpAddr)> {
    let machines = snapshot.provider_machines.iter();
    let members = machines.filter(|(name, provider)| {
        provider.spec.role == MachineRole::ControlPlane && snapshot.has_joined(name)
    });
    members
        .filter_map(|(name, provider)| {
            let address = snapshot.address(name, "InternalIP")?.parse().ok()?;
            Some((name.clone(), (provider.spec.machine_uid.clone(), address)))
        })
        .collect()
}
