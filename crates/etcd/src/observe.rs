//! One look at all members: who is asked what, side by side.
//!
//! Every endpoint first says who it is and whom it knows as members. Then it shows whether it serves: a read and the
//! member list, both by a quorum. The client URLs of the members that become known are asked in the same way.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::access::Checked;
use crate::answers::{Answer, client_address, view};
use crate::peer::{Deadline, Peer, led};
use crate::protocol::{AlarmRequest, MemberListRequest, RangeRequest, StatusRequest};
use crate::{Error, EtcdView};

/// What an endpoint has been asked so far.
enum Progress {
    Introduced(Peer, Box<Answer>),
    Asked(Box<Answer>),
}

pub(crate) async fn observe(access: &Checked) -> Result<EtcdView, Error> {
    let deadline = Deadline::after(access.limit());
    let mut known: BTreeSet<SocketAddr> = BTreeSet::new();
    let mut running: FuturesUnordered<BoxFuture<'_, Progress>> = FuturesUnordered::new();
    let mut answers = Vec::new();
    let mut next: Vec<SocketAddr> = access.endpoints().to_vec();
    loop {
        for endpoint in next.drain(..) {
            if known.insert(endpoint) {
                running.push(introduce(access.peer(endpoint)?, deadline).boxed());
            }
        }
        match running.next().await {
            None => return view(&answers),
            Some(Progress::Introduced(peer, answer)) => {
                let members = answer.known.iter().flat_map(|list| &list.members);
                next.extend(
                    members
                        .flat_map(|member| &member.client_urls)
                        .filter_map(|url| client_address(url)),
                );
                running.push(ask(peer, *answer, deadline).boxed());
            }
            Some(Progress::Asked(answer)) => answers.push(*answer),
        }
    }
}

async fn introduce(peer: Peer, deadline: Deadline) -> Progress {
    let (mut maintenance, mut cluster) = (peer.maintenance(), peer.cluster());
    let (status, known) = tokio::join!(
        deadline.call(maintenance.status(StatusRequest {})),
        deadline.call(cluster.member_list(MemberListRequest { linearizable: false })),
    );
    let answer = Box::new(Answer::new(peer.address, status, known));
    if answer.status.is_ok() {
        Progress::Introduced(peer, answer)
    } else {
        Progress::Asked(answer)
    }
}

async fn ask(peer: Peer, mut answer: Answer, deadline: Deadline) -> Progress {
    let (mut keys, mut cluster) = (peer.keys(), peer.cluster());
    // The key need not exist. `etcdctl endpoint health` reads the same one.
    let read = RangeRequest {
        key: b"health".to_vec(),
        keys_only: true,
        ..RangeRequest::default()
    };
    let (read, agreed) = tokio::join!(
        deadline.call(keys.range(led(read))),
        deadline.call(cluster.member_list(led(MemberListRequest { linearizable: true }))),
    );
    (answer.read, answer.agreed) = (read.map(drop), agreed);
    // Reading the alarms is a write to the log of the cluster, and a member's status has an error for each of them.
    if answer.read.is_ok() && answer.has_errors() {
        match deadline
            .call(peer.maintenance().alarm(AlarmRequest::default()))
            .await
        {
            Ok(alarms) => answer.alarms = alarms.alarms,
            // A member with an alarm that nobody could read must not pass for one without.
            Err(failure) => answer.read = Err(failure),
        }
    }
    Progress::Asked(Box::new(answer))
}
