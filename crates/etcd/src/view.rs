//! What one look at an etcd cluster shows.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Identity of a member, minted by etcd when it is added. Written in hexadecimal, as etcd's own tools do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for MemberId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// All members of a cluster, and how each of them is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdView {
    /// Identity of the cluster.
    pub cluster: u64,
    /// By [`MemberView::id`].
    pub members: Vec<MemberView>,
    /// Who says that these are the members.
    pub membership: Membership,
    /// The leader, by the answer of the latest term.
    pub leader: Option<MemberId>,
    /// Alarms that name no member of the list: etcd raises CORRUPT so when it cannot tell whose data is wrong.
    pub alarms: Vec<Alarm>,
    /// Endpoints that are no member's.
    pub outsiders: Vec<Outsider>,
}

impl EtcdView {
    /// The member of this id.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&MemberView> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Members that vote, healthy or not.
    pub fn voters(&self) -> impl Iterator<Item = &MemberView> {
        self.members.iter().filter(|member| !member.learner)
    }

    /// How many voters etcd needs to go on: more than half of them.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// What is wrong with members, for people; empty when all are healthy.
    #[must_use]
    pub fn faults(&self) -> String {
        let faults = self.members.iter().filter_map(|member| {
            let (Health::Unhealthy { reason } | Health::Unknown { reason }) = &member.health else {
                return None;
            };
            Some(format!("member {} {}: {reason}", member.id, member.name))
        });
        faults.collect::<Vec<_>>().join("; ")
    }

    /// Whether a voter is healthy: it served a read that a quorum confirmed, and has no alarm.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.voters().any(|member| member.health == Health::Healthy)
    }

    /// Whether etcd refuses writes because of an alarm CORRUPT, whoever's it is: [`crate::Etcd::freeze`] raises it, and
    /// so does etcd when it finds that members differ.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        let of_members = self.members.iter().flat_map(|member| &member.alarms);
        of_members
            .chain(&self.alarms)
            .any(|alarm| *alarm == Alarm::Corrupt)
    }

    /// The only member, if the alarm that freezes it is all that is wrong, and where it answers.
    pub(crate) fn frozen(&self) -> Option<(MemberId, SocketAddr)> {
        let [member] = self.members.as_slice() else {
            return None;
        };
        // Alarms are read from a member that serves, and its health names the first of them.
        let is_frozen = !member.learner && member.alarms == [Alarm::Corrupt] && self.alarms.is_empty();
        let endpoint = member.status.as_ref()?.endpoint;
        is_frozen.then_some((member.id, endpoint))
    }

    /// A healthy voter, and where it answers.
    pub(crate) fn serving(&self, wanted: impl Fn(&MemberView) -> bool) -> Option<(MemberId, SocketAddr)> {
        self.voters()
            .filter(|member| member.health == Health::Healthy && wanted(member))
            .find_map(|member| Some((member.id, member.status.as_ref()?.endpoint)))
    }
}

/// How far the list of members can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// A quorum agreed on it during this look.
    Confirmed,
    /// It is what one member knows. Without a quorum, which is the usual reason, nothing can be changed.
    Unconfirmed {
        /// Why no quorum agreed.
        reason: String,
    },
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Identity.
    pub id: MemberId,
    /// The node's name; empty until the member has started.
    pub name: String,
    /// Where other members reach it, such as `https://192.0.2.11:2380`.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until the member has started.
    pub client_urls: Vec<String>,
    /// It receives the data and does not vote yet.
    pub learner: bool,
    /// Whether it does its work.
    pub health: Health,
    /// What it says of itself, if it answered.
    pub status: Option<MemberStatus>,
    /// Its alarms. They are the cluster's memory and can be known of a member that does not answer.
    pub alarms: Vec<Alarm>,
}

/// Whether a member does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// A voter served a read that a quorum confirmed; a learner answered and follows a leader.
    Healthy,
    /// It answers and does not serve.
    Unhealthy {
        /// Why.
        reason: String,
    },
    /// It does not answer, so nothing is known.
    Unknown {
        /// What was tried and how it failed.
        reason: String,
    },
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// The endpoint that answered.
    pub endpoint: SocketAddr,
    /// Version of its program, such as `3.6.6`.
    pub version: String,
    /// Whom it follows.
    pub leader: Option<MemberId>,
    /// Revision of its key space.
    pub revision: i64,
    /// Index of the last committed entry of its log.
    pub raft_index: u64,
    /// Index of the last entry that it has carried out.
    pub raft_applied_index: u64,
    /// Term of its last election.
    pub raft_term: u64,
    /// Size of its database file, bytes.
    pub db_size: i64,
    /// Errors as etcd words them, such as `etcdserver: no leader`.
    pub errors: Vec<String>,
}

/// What a member has raised and a person must clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The database has reached its quota; the cluster refuses writes.
    NoSpace,
    /// The member is frozen ([`crate::Etcd::freeze`]), or its data differs from the others'; the cluster refuses writes.
    Corrupt,
    /// One that this client does not know.
    Other,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "alarm NOSPACE: its database is full",
            Self::Corrupt => "alarm CORRUPT: it is frozen, or its data differs from the others'",
            Self::Other => "an alarm of an unknown kind",
        })
    }
}

/// An endpoint that belongs to no member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outsider {
    /// It does not answer, as a machine that has not joined.
    Silent {
        /// Where.
        endpoint: SocketAddr,
        /// How it failed.
        reason: String,
    },
    /// It answers as a member that this cluster does not have: one that was removed, or of another cluster.
    Stray {
        /// Where.
        endpoint: SocketAddr,
        /// The cluster that it takes itself to be in.
        cluster: u64,
        /// Who it is there.
        member: MemberId,
    },
}
