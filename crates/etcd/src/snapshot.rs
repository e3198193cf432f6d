//! A copy of the data of one member, checked on its way.
//!
//! Etcd sends its database file, whose size is a multiple of 512 bytes, and then the SHA-256 of it (32 bytes). All of it
//! is written: `etcdutl snapshot restore` checks the hash again.

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::access::Checked;
use crate::hashes::KvHash;
use crate::observe::observe;
use crate::peer::{Deadline, Peer};
use crate::protocol::{HashKvRequest, SnapshotRequest};
use crate::{Error, EtcdView, MemberId};

const HASH: usize = 32;
const SECTOR: u64 = 512;

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose data it is.
    pub member: MemberId,
    /// Bytes written.
    pub size: u64,
    /// Version of etcd that wrote it; none before etcd 3.6.
    pub version: Option<String>,
    /// What the member said of its data before it sent them; none when it did not answer within [`crate::Access::limit`].
    pub contents: Option<Contents>,
}

/// The data of a member up to a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// The revision. What is read from the member later holds it too.
    pub revision: i64,
    /// The hash of its keys up to there.
    pub hash: KvHash,
}

pub(crate) async fn save(
    access: &Checked,
    to: &mut (dyn AsyncWrite + Send + Unpin),
) -> Result<Snapshot, Error> {
    let view = observe(access).await?;
    let (member, endpoint) = view
        .serving(|member| view.leader != Some(member.id))
        .or_else(|| view.serving(|_| true))
        .or_else(|| view.frozen())
        .ok_or_else(|| Error::NoQuorum(view.faults()))?;
    let failed = |source| Error::Call {
        what: "send a snapshot".to_owned(),
        endpoint,
        source,
    };
    let deadline = || Deadline::after(access.limit());
    let peer = access.peer(endpoint)?;
    let contents = contents(&view, member, &peer, deadline()).await;
    let mut maintenance = peer.maintenance();
    let start = maintenance.snapshot(SnapshotRequest {});
    let mut parts = deadline().call(start).await.map_err(failed)?;
    let (mut check, mut version, mut remaining) = (Check::default(), String::new(), 0);
    while let Some(part) = deadline().part(parts.message()).await.map_err(failed)? {
        check.take(&part.blob);
        remaining = part.remaining_bytes;
        if !part.version.is_empty() {
            version = part.version;
        }
        to.write_all(&part.blob).await.map_err(Error::Write)?;
    }
    to.flush().await.map_err(Error::Write)?;
    let size = check.size;
    check
        .end(remaining)
        .map_err(|why| Error::Damaged { endpoint, why })?;
    Ok(Snapshot {
        member,
        size,
        version: Some(version).filter(|version| !version.is_empty()),
        contents,
    })
}

async fn contents(view: &EtcdView, member: MemberId, peer: &Peer, deadline: Deadline) -> Option<Contents> {
    let revision = view.member(member)?.status.as_ref()?.revision;
    let mut maintenance = peer.maintenance();
    let answer = deadline
        .call(maintenance.hash_kv(HashKvRequest { revision }))
        .await
        .ok()?;
    let hash = KvHash {
        compact_revision: answer.compact_revision,
        hash: answer.hash,
    };
    Some(Contents { revision, hash })
}

/// Hashes all but the last bytes, which are the hash.
#[derive(Default)]
struct Check {
    hasher: Sha256,
    tail: Vec<u8>,
    size: u64,
}

impl Check {
    fn take(&mut self, part: &[u8]) {
        self.size += part.len() as u64;
        self.tail.extend_from_slice(part);
        let data = self.tail.len().saturating_sub(HASH);
        self.hasher.update(self.tail.drain(..data).as_slice());
    }

    /// `remaining`: bytes that the member still had to send after the last part.
    fn end(self, remaining: u64) -> Result<(), String> {
        if remaining > 0 {
            return Err(format!("{remaining} bytes are missing after {}", self.size));
        }
        if self.size % SECTOR != HASH as u64 {
            return Err(format!("{} bytes are no database with a hash", self.size));
        }
        if self.hasher.finalize().as_slice() != self.tail {
            return Err("its SHA-256 does not fit".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(parts: &[&[u8]]) -> Check {
        let mut check = Check::default();
        for part in parts {
            check.take(part);
        }
        check
    }

    #[test]
    fn the_hash_is_found_wherever_the_parts_end() {
        let data = [7; 1024];
        let mut file = data.to_vec();
        file.extend(Sha256::digest(data));
        for size in [1, 31, 32, 33, 512, 1024, 1056] {
            let parts: Vec<&[u8]> = file.chunks(size).collect();
            assert_eq!(sent(&parts).end(0), Ok(()), "{size}");
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_no_snapshot() {
        let data = [7; 1024];
        let hash = Sha256::digest(data);
        let mut changed = data;
        changed[511] = 8;
        let cases: [(&[&[u8]], u64); 5] = [
            (&[&data, &hash], 1),
            (&[&data], 0),
            (&[&data, &hash[1..]], 0),
            (&[&changed, &hash], 0),
            (&[], 0),
        ];
        for (parts, remaining) in cases {
            assert!(sent(parts).end(remaining).is_err(), "{parts:?}");
        }
    }
}
