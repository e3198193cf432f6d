//! Changes of members and leader.

use etcd::{Error, Failure, Health, MemberId, Membership, Outsider};

use sim::{EtcdGateway, EtcdMembers};

use crate::fixture::{connect, named, reason, start, until, wait};

/// Adds a member as `kubeadm join` does.
async fn add_learner(members: &EtcdMembers, peer_url: &str) {
    let body = serde_json::json!({"peerURLs": [peer_url], "isLearner": true});
    EtcdGateway::new(members, 1)
        .call("cluster/member/add", &body)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn a_learner_is_added_promoted_and_removed() {
    let mut members = start(1).await;
    let client = connect(&members, &[1, 2]);
    add_learner(&members, &members.peer_url(2)).await;

    let view = client.observe().await.unwrap();
    let learner = view.members.iter().find(|member| member.learner).unwrap();
    let id = learner.id;
    assert!(matches!(learner.health, Health::Unknown { .. }), "{learner:?}");
    assert!(reason(learner).contains("has not started"), "{learner:?}");
    assert_eq!((view.voters().count(), view.quorum()), (1, 1));
    let early = client.promote(id).await.unwrap_err();
    assert!(matches!(early, Error::LearnerBehind(of) if of == id), "{early:?}");

    members.join();
    let view = until(&members, "a healthy learner that has told its name", |view| {
        view.member(id).is_some_and(|member| {
            !member.name.is_empty() && member.learner && member.health == Health::Healthy
        })
    });
    assert_eq!(named(&view.await, 2).id, id);
    wait(
        "promoted",
        async || client.promote(id).await,
        |done| match done {
            Ok(()) => true,
            Err(error) => !matches!(error, Error::LearnerBehind(_)),
        },
    )
    .await
    .unwrap();
    let view = until(&members, "two voters", |view| {
        view.voters().count() == 2 && view.faults().is_empty()
    })
    .await;
    assert_eq!(view.quorum(), 2);
    let again = client.promote(id).await.unwrap_err();
    let Error::Call {
        source: Failure::Refused(why),
        ..
    } = &again
    else {
        panic!("{again:?}");
    };
    assert!(why.contains("learner"), "{why}");

    // Etcd changes nothing until all members have been connected for some seconds.
    let unhealthy = |error: &Error| {
        let Error::Call { source, .. } = error else {
            return false;
        };
        *source == Failure::Refused("etcdserver: unhealthy cluster".to_owned())
    };
    wait(
        "removed",
        async || client.remove_member(id).await,
        |done| !done.as_ref().is_err_and(unhealthy),
    )
    .await
    .unwrap();
    let view = until(&members, "one member", |view| {
        view.members.len() == 1 && view.faults().is_empty()
    })
    .await;
    // The removed one may not have stopped yet.
    let [outsider] = view.outsiders.as_slice() else {
        panic!("{view:?}");
    };
    let (Outsider::Silent { endpoint, .. } | Outsider::Stray { endpoint, .. }) = outsider;
    assert_eq!(*endpoint, members.endpoint(2));
    client.remove_member(id).await.expect("what is gone is removed");
    let error = client.promote(id).await.unwrap_err();
    assert!(matches!(error, Error::NoMember(of) if of == id), "{error:?}");
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn leadership_moves_and_a_dead_member_is_removed() {
    let mut members = start(3).await;
    let client = connect(&members, &[1, 2, 3]);
    for to in [1, 2, 3] {
        let view = until(&members, "a leader", |view| view.leader.is_some()).await;
        let id = named(&view, to).id;
        client.move_leader(id).await.unwrap();
        client
            .move_leader(id)
            .await
            .expect("who leads may be asked again");
        until(&members, "the leader that was asked for", |view| {
            view.leader == Some(id)
        })
        .await;
    }
    let error = client.move_leader(MemberId(1)).await.unwrap_err();
    assert!(matches!(error, Error::NoMember(MemberId(1))), "{error:?}");

    // The leader itself dies: the others elect one of them.
    members.kill(3).await;
    let view = until(&members, "two healthy members and a silent one", |view| {
        let silent = matches!(named(view, 3).health, Health::Unknown { .. });
        // In the middle of the election etcd refuses what takes a quorum.
        silent
            && view.membership == Membership::Confirmed
            && (1..=2).all(|number| named(view, number).health == Health::Healthy)
    });
    let view = view.await;
    let dead = named(&view, 3);
    assert!(view.leader.is_some_and(|leader| leader != dead.id));
    assert!(
        reason(dead).contains("refused") && dead.status.is_none(),
        "{dead:?}"
    );
    assert!(view.outsiders.is_empty(), "its endpoint is a member's: {view:?}");
    let hashes = client.hash_kv(None).await.unwrap();
    assert_eq!(hashes.members.len(), 2);

    client.remove_member(dead.id).await.unwrap();
    let view = until(&members, "two members", |view| {
        view.members.len() == 2 && view.faults().is_empty()
    })
    .await;
    assert_eq!(view.quorum(), 2);
}
