//! Whether all members hold the same data.

use std::collections::BTreeMap;

use futures::future::join_all;

use crate::access::Checked;
use crate::observe::observe;
use crate::peer::Deadline;
use crate::protocol::HashKvRequest;
use crate::{Error, Failure, MemberId};

/// Hashes of the key space of the members that answered, up to one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashView {
    /// The revision that was asked for, or else the lowest that one of them had.
    pub revision: i64,
    /// By member; a learner refuses to give one.
    pub members: BTreeMap<MemberId, Result<KvHash, Failure>>,
}

/// Hash of a key space between two revisions. Hashes compare only when both are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KvHash {
    /// Revision up to which the member has thrown old values away.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}

impl HashView {
    /// Two members hold different data at the same revisions.
    #[must_use]
    pub fn differs(&self) -> bool {
        let mut hashes: BTreeMap<i64, u32> = BTreeMap::new();
        self.members.values().flatten().any(|own| {
            let first = *hashes.entry(own.compact_revision).or_insert(own.hash);
            first != own.hash
        })
    }
}

pub(crate) async fn hashes(access: &Checked, at: Option<i64>) -> Result<HashView, Error> {
    let view = observe(access).await?;
    let statuses = view
        .members
        .iter()
        .filter_map(|member| Some((member.id, member.status.as_ref()?)));
    let lowest = statuses.clone().map(|(_, status)| status.revision).min();
    let revision = lowest.map(|lowest| at.unwrap_or(lowest));
    let Some(revision) = revision else {
        return Err(Error::NoQuorum(view.faults()));
    };
    let deadline = Deadline::after(access.limit());
    let calls = statuses.map(|(id, status)| async move {
        let peer = access.peer(status.endpoint)?;
        let call = async { peer.maintenance().hash_kv(HashKvRequest { revision }).await };
        let answer = deadline.call(call).await.map(|answer| KvHash {
            compact_revision: answer.compact_revision,
            hash: answer.hash,
        });
        Ok::<_, Error>((id, answer))
    });
    let members = join_all(calls).await.into_iter().collect::<Result<_, _>>()?;
    Ok(HashView { revision, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_differ_only_between_the_same_revisions() {
        let silent = || Err(Failure::Unreachable("down".to_owned()));
        let own = |compact_revision, hash| {
            Ok(KvHash {
                compact_revision,
                hash,
            })
        };
        let view = |members: Vec<Result<KvHash, Failure>>| HashView {
            revision: 9,
            members: (1..).map(MemberId).zip(members).collect(),
        };
        assert!(!view(vec![own(3, 7), own(3, 7), own(3, 7)]).differs());
        assert!(view(vec![own(3, 7), silent(), own(3, 8)]).differs());
        assert!(!view(vec![own(3, 7), own(4, 8), silent()]).differs());
        assert!(!view(vec![silent()]).differs());
    }
}
