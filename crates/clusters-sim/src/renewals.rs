//! Certificates of members of a control plane, and the Pods that renew them, as a played cluster holds them.

use std::collections::{BTreeMap, VecDeque};

use clusters::{RenewalPod, RenewalState};
use jiff::{SignedDuration, Timestamp};
use pki::ServedCertificate;
use resources::{Digest, keys};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How long certificates count that kubeadm makes.
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

/// What becomes of a Pod that renews certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renews {
    /// It does what it is to do.
    Well,
    /// It fails, and has changed nothing.
    Fails,
    /// It never ends.
    Hangs,
    /// It has renewed the certificates, and somebody deletes it before anybody sees that it is done.
    Vanishes,
    /// It ends well, and the API server goes on showing its old certificate.
    ShowsOldOnes,
}

/// Certificates, Pods, and what becomes of those.
#[derive(Debug, Default)]
pub struct Renewals {
    /// What each member shows, by address.
    pub certificates: BTreeMap<String, MemberCertificates>,
    /// What becomes of the next Pods on a node; all others do well.
    pub next: BTreeMap<String, VecDeque<Renews>>,
    /// The only member restarts: its API is silent for so many turns.
    pub silence: u32,
    pub(crate) pods: BTreeMap<String, Pod>,
    made: u32,
}

/// Certificates of one member.
#[derive(Debug, Clone, Copy)]
pub struct MemberCertificates {
    /// Of its API server.
    pub api: ServedCertificate,
    /// Of its etcd.
    pub etcd: ServedCertificate,
}

impl MemberCertificates {
    /// They end at this time.
    pub fn end(&mut self, at: Timestamp) {
        (self.api.not_after, self.etcd.not_after) = (at, at);
    }
}

#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) node: String,
    machine: String,
    pub(crate) state: RenewalState,
    pub(crate) deleting: bool,
}

impl Renewals {
    fn certificate(&mut self, not_after: Timestamp) -> ServedCertificate {
        self.made += 1;
        ServedCertificate {
            not_after,
            sha256: Digest::new(Sha256::digest(self.made.to_be_bytes()).into()),
        }
    }

    /// kubeadm makes the certificates of a member.
    pub(crate) fn make(&mut self, address: &str) -> MemberCertificates {
        let ends = Timestamp::now() + YEAR;
        let (api, etcd) = (self.certificate(ends), self.certificate(ends));
        let made = MemberCertificates { api, etcd };
        self.certificates.insert(address.to_owned(), made);
        made
    }

    /// The Pods as the API shows them.
    pub(crate) fn list(&self) -> Vec<RenewalPod> {
        let pods = self.pods.iter();
        pods.map(|(name, pod)| RenewalPod {
            name: name.clone(),
            machine: pod.machine.clone(),
            state: pod.state.clone(),
            deleting: pod.deleting,
        })
        .collect()
    }

    /// Names of the Pods that there are.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        self.pods.keys().cloned().collect()
    }

    /// A Pod is applied. Two of them never work side by side.
    pub(crate) fn apply(&mut self, object: &Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap().to_owned();
        let name = text("/metadata/name");
        if self.pods.contains_key(&name) {
            return;
        }
        let is_open = |pod: &Pod| matches!(pod.state, RenewalState::Waits(_) | RenewalState::Runs);
        assert!(!self.pods.values().any(is_open), "{name} beside {:?}", self.pods);
        let machine = object["metadata"]["labels"][keys::RENEWS_CERTIFICATES]
            .as_str()
            .unwrap();
        let pod = Pod {
            node: text("/spec/nodeName"),
            machine: machine.to_owned(),
            state: RenewalState::Waits("its node has not begun it".to_owned()),
            deleting: false,
        };
        self.pods.insert(name, pod);
    }

    /// One that has ended is gone at once, any other when its node says so.
    pub(crate) fn delete(&mut self, name: &str) {
        let Some(pod) = self.pods.get_mut(name) else {
            return;
        };
        match pod.state {
            RenewalState::Waits(_) | RenewalState::Runs => pod.deleting = true,
            RenewalState::Done(_) | RenewalState::Failed(_) => drop(self.pods.remove(name)),
        }
    }
}
