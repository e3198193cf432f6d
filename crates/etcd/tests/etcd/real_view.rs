//! What is seen of healthy members, and of credentials that do not fit.

use std::collections::BTreeSet;
use std::time::Instant;

use etcd::{Error, EtcdConnector, Health, Membership, Outsider, TlsEtcdConnector};
use sim::EtcdMembers;

use crate::fixture::{LIMIT, access, connect, named, start};

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn three_members_are_seen_from_one_endpoint() {
    let members = start(3).await;
    // The second endpoint is of a machine that has not joined.
    let view = connect(&members, &[2, 9]).observe().await.unwrap();
    assert_eq!(view.membership, Membership::Confirmed);
    assert_eq!(
        (view.members.len(), view.quorum(), view.voters().count()),
        (3, 2, 3)
    );
    assert!(view.leader.is_some_and(|leader| view.member(leader).is_some()));
    for number in 1..=3 {
        let member = named(&view, number);
        assert_eq!(member.health, Health::Healthy);
        assert_eq!(member.peer_urls, [members.peer_url(number)]);
        assert!(!member.learner && member.alarms.is_empty());
        let status = member.status.as_ref().unwrap();
        assert_eq!(status.endpoint, members.endpoint(number));
        assert_eq!(status.leader, view.leader);
        assert!(status.version.starts_with("3."), "{status:?}");
        assert!(status.revision > 0 && status.raft_index > 0 && status.raft_term > 0 && status.db_size > 0);
        assert!(
            status.raft_applied_index <= status.raft_index && status.errors.is_empty(),
            "{status:?}"
        );
    }
    let [Outsider::Silent { endpoint, reason }] = view.outsiders.as_slice() else {
        panic!("{:?}", view.outsiders);
    };
    assert_eq!(*endpoint, members.endpoint(9));
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn members_hold_the_same_data_and_give_it_away() {
    let members = start(3).await;
    let client = connect(&members, &[1, 2, 3]);
    let hashes = client.hash_kv(None).await.unwrap();
    let distinct: BTreeSet<_> = hashes
        .members
        .values()
        .map(|hash| hash.clone().unwrap())
        .collect();
    assert_eq!((hashes.members.len(), distinct.len()), (3, 1), "{hashes:?}");
    assert!(!hashes.differs());

    let path = members.folder().join("snapshot.db");
    let mut file = tokio::fs::File::create(&path).await.unwrap();
    let snapshot = client.snapshot(&mut file).await.unwrap();
    assert_eq!(path.metadata().unwrap().len(), snapshot.size);
    let view = client.observe().await.unwrap();
    assert_ne!(Some(snapshot.member), view.leader, "a follower has less to do");
    assert!(snapshot.version.is_some_and(|version| version.starts_with("3.")));
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn another_authority_is_named_as_the_reason() {
    let members = start(1).await;
    let other = EtcdMembers::default();
    // What the client trusts, and what etcd trusts.
    let mut distrusting = access(&members, &[1]);
    distrusting.ca = other.ca().to_owned();
    let mut distrusted = access(&members, &[1]);
    let client = other.client();
    (distrusted.certificate, distrusted.key) = (client.certificate, client.key);
    for (access, expected) in [
        (distrusting, "its certificate is not trusted: "),
        (distrusted, "it closes the connection ("),
    ] {
        let began = Instant::now();
        let client = TlsEtcdConnector.connect(access).unwrap();
        let error = client.observe().await.unwrap_err();
        assert!(began.elapsed() < LIMIT * 2);
        let Error::NoAnswer(failures) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(failures.len(), 1, "{error}");
        let text = format!("{}: {expected}", members.endpoint(1));
        assert!(error.to_string().contains(&text), "{error}");
    }
}
