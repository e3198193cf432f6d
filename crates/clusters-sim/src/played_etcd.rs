//! The etcd of a played cluster.

use etcd::{
    Alarm, Contents, Etcd, EtcdView, HashView, Health, KvHash, MemberId, MemberView, Membership,
    Snapshot as EtcdSnapshot,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use resources::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::played::{Played, ready};

impl Etcd for Played {
    fn observe(&self) -> BoxFuture<'_, Result<EtcdView, etcd::Error>> {
        ready(self.with(|inside| {
            let quorum = inside.has_quorum() && !inside.silent && inside.renewals.silence == 0;
            let members = inside.etcd.iter().map(|(id, voter)| MemberView {
                id: MemberId(*id),
                name: voter.name.clone(),
                peer_urls: vec![format!("https://{}:2380", voter.address)],
                client_urls: vec![format!("https://{}:2379", voter.address)],
                learner: voter.learner,
                health: match (voter.alive, inside.frozen) {
                    (true, false) => Health::Healthy,
                    (true, true) => Health::Unhealthy {
                        reason: Alarm::Corrupt.to_string(),
                    },
                    (false, _) => Health::Unknown {
                        reason: "connection timed out".to_owned(),
                    },
                },
                status: None,
                alarms: inside.frozen.then_some(Alarm::Corrupt).into_iter().collect(),
            });
            Ok(EtcdView {
                cluster: 1,
                members: members.collect(),
                membership: match quorum {
                    true => Membership::Confirmed,
                    false => Membership::Unconfirmed {
                        reason: "no leader".to_owned(),
                    },
                },
                leader: Some(MemberId(inside.leader)).filter(|_| quorum),
                alarms: Vec::new(),
                outsiders: Vec::new(),
            })
        }))
    }

    fn move_leader(&self, to: MemberId) -> BoxFuture<'_, Result<(), etcd::Error>> {
        self.with(|inside| {
            inside.leader = to.0;
            inside.log.push(format!("leader {}", inside.etcd[&to.0].name));
        });
        ready(Ok(()))
    }

    fn remove_member(&self, id: MemberId) -> BoxFuture<'_, Result<(), etcd::Error>> {
        ready(self.with(|inside| {
            if !inside.has_quorum() {
                return Err(etcd::Error::NoMember(id));
            }
            if let Some(voter) = inside.etcd.remove(&id.0) {
                inside.log.push(format!("remove member {}", voter.name));
            }
            inside.check_quorum();
            Ok(())
        }))
    }

    fn promote(&self, id: MemberId) -> BoxFuture<'_, Result<(), etcd::Error>> {
        ready(Err(etcd::Error::NoMember(id)))
    }

    fn hash_kv(&self, _revision: Option<i64>) -> BoxFuture<'_, Result<HashView, etcd::Error>> {
        ready(Err(etcd::Error::NoMember(MemberId(0))))
    }

    fn freeze(&self) -> BoxFuture<'_, Result<(), etcd::Error>> {
        ready(self.with(|inside| {
            if inside.voters() != (1, 1) || inside.etcd.len() != 1 {
                return Err(etcd::Error::NotFreezable(format!("{:?}", inside.etcd)));
            }
            if !inside.frozen {
                inside.frozen = true;
                inside.log.push("freeze".to_owned());
            }
            Ok(())
        }))
    }

    fn thaw(&self) -> BoxFuture<'_, Result<(), etcd::Error>> {
        ready(self.with(|inside| {
            if !inside.has_quorum() {
                return Err(etcd::Error::NoQuorum(format!("{:?}", inside.etcd)));
            }
            if inside.frozen {
                inside.frozen = false;
                inside.log.push("thaw".to_owned());
            }
            Ok(())
        }))
    }

    fn snapshot<'a>(
        &'a self,
        to: &'a mut (dyn AsyncWrite + Send + Unpin),
    ) -> BoxFuture<'a, Result<EtcdSnapshot, etcd::Error>> {
        async move {
            let (acknowledged, frozen, breaks_off) =
                self.with(|inside| (inside.acknowledged, inside.frozen, inside.breaks_off));
            let data = format!("all writes up to {acknowledged}");
            to.write_all(data.as_bytes()).await.map_err(etcd::Error::Write)?;
            if self.with(|inside| inside.no_snapshot) {
                self.with(|inside| inside.log.push("snapshot failed".to_owned()));
                return Err(etcd::Error::NoQuorum("the disk is full".to_owned()));
            }
            if frozen && breaks_off {
                return Err(etcd::Error::NoQuorum("the connection broke off".to_owned()));
            }
            let sha256 = Digest::new(Sha256::digest(&data).into());
            self.with(|inside| inside.snapshots.insert(sha256, (acknowledged, frozen)));
            Ok(EtcdSnapshot {
                member: MemberId(0),
                size: data.len() as u64,
                version: None,
                contents: Some(Contents {
                    revision: i64::try_from(acknowledged).unwrap(),
                    hash: KvHash {
                        compact_revision: 0,
                        hash: 7,
                    },
                }),
            })
        }
        .boxed()
    }
}
