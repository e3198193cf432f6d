//! What the planner sees of the certificates of a control plane.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// What is known of the certificates of a control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateState {
    /// When a person asked for new ones.
    pub requested_at: Option<Timestamp>,
    /// Those of the members, by machine.
    pub members: BTreeMap<String, MemberCertificates>,
    /// The machine whose certificates are being renewed at this moment.
    pub under_way: Option<String>,
    /// Whether the plan that is carried out renews certificates that have ended.
    pub repairing: bool,
    /// A renewal has failed: another one begins at this time.
    pub again_at: Option<Timestamp>,
}

/// Certificates of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberCertificates {
    /// When they were made.
    pub issued: Timestamp,
    /// When the first of them ends, where that was seen.
    pub ends: Option<Timestamp>,
}

impl MemberCertificates {
    /// When they have ended, if they have.
    pub(crate) fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends.filter(|ends| *ends <= now)
    }

    /// Whether they were made before somebody asked for new ones, in whole seconds.
    pub(crate) fn is_older_than(&self, requested_at: Option<Timestamp>) -> bool {
        requested_at.is_some_and(|asked| self.issued <= asked)
    }
}
