//! Leases on their way to the disk, and the ACKs that wait for them. Packets are answered meanwhile; whatever arrives
//! during one commit goes into the next, so a storm shares its syncs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use jiff::Timestamp;
use nix::sys::eventfd::EventFd;
use resources::Mac;
use store::records::{NewRecord, Records};

use crate::engine::{Lease, Reply};

/// Clients whose leases may be on their way at once: more than any site has.
const CLIENTS: usize = 65_536;
/// ACKs of one client that wait for the same commit. A client that repeats itself more often gets these.
const REPLIES: u8 = 4;

/// Records that are committed together, by the number of their batch.
#[derive(Debug)]
pub(crate) struct Order {
    number: u64,
    records: Vec<NewRecord>,
}

/// How the commit of a batch ended.
#[derive(Debug)]
pub(crate) struct Ended {
    number: u64,
    durable: bool,
}

/// A batch whose leases are durable.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) leases: Vec<(Mac, Lease)>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) began: Timestamp,
}

#[derive(Debug)]
struct OnItsWay {
    batch: u64,
    lease: Lease,
    replies: u8,
}

/// All batches that are not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    open: u64,
    records: Vec<NewRecord>,
    batches: HashMap<u64, Durable>,
    clients: HashMap<Mac, OnItsWay>,
}

impl Commits {
    /// Holds an ACK back until its lease is durable. The lease gets a record of its own unless the same one is on its
    /// way already. False if there are too many, and the client has to ask again.
    pub(crate) fn hold(
        &mut self,
        (mac, lease): (Mac, Lease),
        reply: &Reply,
        now: Timestamp,
        record: impl FnOnce() -> NewRecord,
    ) -> bool {
        let same =
            |one: &&mut OnItsWay| (one.lease.address, one.lease.seconds) == (lease.address, lease.seconds);
        if let Some(earlier) = self.clients.get_mut(&mac).filter(same) {
            let batch = self.batches.get_mut(&earlier.batch);
            let Some(batch) = batch.filter(|_| earlier.replies < REPLIES) else {
                return false;
            };
            earlier.replies += 1;
            batch.replies.push(reply.clone());
            return true;
        }
        if self.clients.len() >= CLIENTS {
            return false;
        }
        self.records.push(record());
        let batch = self.batches.entry(self.open).or_insert_with(|| Durable {
            leases: Vec::new(),
            replies: Vec::new(),
            began: now,
        });
        batch.leases.push((mac, lease));
        batch.replies.push(reply.clone());
        let client = OnItsWay {
            batch: self.open,
            lease,
            replies: 1,
        };
        self.clients.insert(mac, client);
        true
    }

    /// What was held back since the last call, to be committed.
    pub(crate) fn close(&mut self) -> Option<Order> {
        if self.records.is_empty() {
            return None;
        }
        let number = self.open;
        self.open = self.open.wrapping_add(1);
        Some(Order {
            number,
            records: std::mem::take(&mut self.records),
        })
    }

    /// Takes a batch out; nothing if its commit failed, so that no client gets an ACK of it.
    pub(crate) fn ended(&mut self, ended: &Ended) -> Option<Durable> {
        let batch = self.batches.remove(&ended.number)?;
        for (mac, _) in &batch.leases {
            if self.clients.get(mac).is_some_and(|one| one.batch == ended.number) {
                self.clients.remove(mac);
            }
        }
        ended.durable.then_some(batch)
    }
}

/// Has a batch committed, and tells how that ended. Nobody waits here.
pub(crate) fn commit(order: Order, records: &Records, ended: Sender<Ended>, wake: Arc<EventFd>) {
    let Order {
        number,
        records: leases,
    } = order;
    let count = leases.len();
    records.append_then(leases, move |done| {
        if let Err(error) = &done {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                leases = count,
                "leases could not be committed; no ACK is sent"
            );
        }
        let durable = done.is_ok();
        // Nobody waits any more when the service ends.
        let _ = ended.send(Ended { number, durable });
        let _ = wake.write(1);
    });
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;
    use store::records::Ring;

    use super::*;
    use crate::engine::{Destination, MessageType};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn lease(last: u8) -> Lease {
        Lease {
            address: Ipv4Addr::new(10, 0, 0, last),
            seconds: 60,
            renewal: false,
        }
    }

    fn reply(xid: u8) -> Reply {
        Reply {
            kind: MessageType::Ack,
            bytes: vec![xid],
            destination: Destination::Broadcast,
            lease: None,
        }
    }

    fn hold(commits: &mut Commits, client: u8, address: u8, xid: u8) -> bool {
        let record = || NewRecord {
            kind: "BootEvent".to_owned(),
            machine: client.to_string(),
            ring: Ring::Machine,
            at: 0,
            payload: json!({}),
        };
        commits.hold((mac(client), lease(address)), &reply(xid), NOW, record)
    }

    fn xids(batch: &Durable) -> Vec<u8> {
        batch.replies.iter().map(|reply| reply.bytes[0]).collect()
    }

    #[test]
    fn a_repeated_request_waits_for_the_record_that_is_on_its_way() {
        let mut commits = Commits::default();
        assert!(hold(&mut commits, 1, 1, 10));
        let first = commits.close().unwrap();
        assert_eq!(first.records.len(), 1);
        assert!(hold(&mut commits, 1, 1, 11), "the first commit is not over");
        assert!(commits.close().is_none(), "the lease has its record");
        assert!(hold(&mut commits, 2, 2, 20));
        let second = commits.close().unwrap();
        // The second ends first.
        let of = |order: &Order, durable| Ended {
            number: order.number,
            durable,
        };
        assert_eq!(xids(&commits.ended(&of(&second, true)).unwrap()), [20]);
        assert_eq!(xids(&commits.ended(&of(&first, true)).unwrap()), [10, 11]);
        assert!(commits.batches.is_empty() && commits.clients.is_empty());
    }

    #[test]
    fn nobody_gets_an_ack_of_a_failed_commit() {
        let mut commits = Commits::default();
        assert!(hold(&mut commits, 1, 1, 10));
        let first = commits.close().unwrap();
        assert!(hold(&mut commits, 1, 1, 11));
        // Another address is another lease.
        assert!(hold(&mut commits, 1, 9, 12));
        let second = commits.close().unwrap();
        let failed = Ended {
            number: first.number,
            durable: false,
        };
        assert!(commits.ended(&failed).is_none());
        assert!(
            hold(&mut commits, 1, 9, 13),
            "the newer lease is still on its way"
        );
        let durable = Ended {
            number: second.number,
            durable: true,
        };
        assert_eq!(xids(&commits.ended(&durable).unwrap()), [12, 13]);
    }

    #[test]
    fn one_client_does_not_fill_the_memory() {
        let mut commits = Commits::default();
        let held = (0..100).filter(|xid| hold(&mut commits, 1, 1, *xid)).count();
        assert_eq!(held, usize::from(REPLIES));
        assert!(hold(&mut commits, 2, 2, 1));
    }
}
