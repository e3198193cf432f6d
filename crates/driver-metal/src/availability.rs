//! Whether a server can be had, and if not, why.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{Claim, HostCapacity, Server, ServerState};
use resources::keys;

use crate::cooldown::Cooldown;

/// What of a Server decides whether a machine can have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Availability {
    deleting: bool,
    /// Who has it.
    pub(crate) claim: Option<Claim>,
    /// Why a person keeps it back.
    quarantine: Option<String>,
    /// Its record is from a backup.
    restored: bool,
    state: ServerState,
    /// What it has, once an agent has run on it.
    pub(crate) capacity: Option<HostCapacity>,
    /// Until when it is passed over because an installation has failed on it.
    pub(crate) cools_until: Option<Timestamp>,
}

impl Availability {
    /// Of a server, when failures count for so long.
    pub(crate) fn of(server: &Server, cooldown: SignedDuration) -> Self {
        let quarantine = server.spec.quarantine.as_ref();
        Self {
            deleting: server.metadata.deletion_timestamp.is_some(),
            claim: server.spec.claim.clone(),
            quarantine: quarantine.map(|quarantine| quarantine.reason.clone()),
            restored: server.spec.restored.is_some(),
            state: server
                .status
                .as_ref()
                .map(|status| status.state)
                .unwrap_or_default(),
            capacity: capacity(server),
            cools_until: Cooldown::end(server, cooldown),
        }
    }

    /// Why it can't be claimed now; `labels` are those of its Hardware. A failure is no obstacle: where there is nothing
    /// better the server is taken all the same.
    pub(crate) fn obstacle(&self, labels: Option<&BTreeMap<String, String>>) -> Option<Obstacle> {
        if self.deleting {
            return Some(Obstacle::Deleted);
        }
        if let Some(claim) = &self.claim {
            return Some(Obstacle::Claimed {
                owner: claim.name.clone(),
                cluster: claim.cluster.clone(),
            });
        }
        if let Some(owner) = labels.and_then(|labels| labels.get(keys::OWNER_NAME)) {
            return Some(Obstacle::Owned(owner.clone()));
        }
        if let Some(reason) = &self.quarantine {
            return Some(Obstacle::Quarantined(reason.clone()));
        }
        if self.restored {
            return Some(Obstacle::Restored);
        }
        (self.state != ServerState::Available).then(|| Obstacle::Busy(word(self.state)))
    }
}

fn capacity(server: &Server) -> Option<HostCapacity> {
    let inventory = server.status.as_ref()?.inventory.as_ref()?;
    Some(HostCapacity {
        cpus: inventory.cpus?,
        memory: inventory.memory?,
    })
}

/// Why a server can't be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Its object is being deleted.
    Deleted,
    /// It has an owner.
    Claimed {
        /// Name of the owner.
        owner: String,
        /// Cluster of the owner.
        cluster: Option<String>,
    },
    /// Its Hardware carries the label of an owner whom Gantry does not know.
    Owned(String),
    /// A person keeps it back, with the reason.
    Quarantined(String),
    /// Its record is from a backup, and whether it has come into use since is not known.
    Restored,
    /// Its state, as text for people.
    Busy(&'static str),
}

impl fmt::Display for Obstacle {
    /// As text that follows the name of the server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => f.write_str("is being deleted"),
            Self::Claimed { owner, .. } => write!(f, "is claimed by {owner}"),
            Self::Owned(owner) => write!(f, "is owned by {owner}"),
            Self::Quarantined(reason) => write!(f, "is quarantined ({reason})"),
            Self::Restored => f.write_str("is known from a backup alone, and may be in use"),
            Self::Busy(state) => write!(f, "is {state}"),
        }
    }
}

const fn word(state: ServerState) -> &'static str {
    match state {
        ServerState::Discovered => "not ready yet",
        ServerState::Available => "free",
        ServerState::Claimed => "claimed",
        ServerState::Provisioning => "being provisioned",
        ServerState::Running => "running",
        ServerState::Releasing => "being given back",
        ServerState::Wiping => "being wiped",
        ServerState::Failed => "failed",
    }
}
