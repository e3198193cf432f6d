//! Members that are silent: nothing waits longer than its limit.

use std::time::{Duration, Instant};

use etcd::{Error, Health, Membership};

use crate::fixture::{LIMIT, connect, named, reason, start, until};

/// For the parts that take no network: a machine under load.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn without_a_quorum_a_look_says_so_in_time() {
    let mut members = start(3).await;
    let client = connect(&members, &[1, 2, 3]);
    let before = client.observe().await.unwrap();
    members.kill(1).await;
    members.kill(3).await;
    // At first the last member may still take itself for a follower or the leader.
    for _ in 0..3 {
        let began = Instant::now();
        let view = client.observe().await.unwrap();
        assert!(began.elapsed() < LIMIT + SLACK, "{:?}", began.elapsed());
        assert!(
            matches!(view.membership, Membership::Unconfirmed { .. }),
            "{view:?}"
        );
        assert!(
            matches!(named(&view, 2).health, Health::Unhealthy { .. }),
            "{view:?}"
        );
    }
    let view = until(&members, "no leader", |view| view.leader.is_none()).await;
    assert_eq!(view.members.len(), 3, "the last one still knows all");
    let Membership::Unconfirmed { reason: why } = &view.membership else {
        panic!("{view:?}");
    };
    assert!(why.contains("no leader"), "{why}");
    assert_eq!(reason(named(&view, 2)), "it has no leader");
    for dead in [1, 3] {
        assert!(
            matches!(named(&view, dead).health, Health::Unknown { .. }),
            "{view:?}"
        );
    }

    let began = Instant::now();
    let dead = named(&before, 1).id;
    let removed = client.remove_member(dead).await.unwrap_err();
    assert!(matches!(removed, Error::NoQuorum(_)), "{removed:?}");
    let promoted = client.promote(dead).await.unwrap_err();
    assert!(matches!(promoted, Error::NoQuorum(_)), "{promoted:?}");
    let moved = client.move_leader(named(&before, 2).id).await.unwrap_err();
    assert!(matches!(moved, Error::NoLeader(_)), "{moved:?}");
    let saved = client.snapshot(&mut tokio::io::sink()).await.unwrap_err();
    assert!(matches!(saved, Error::NoQuorum(_)), "{saved:?}");
    assert!(began.elapsed() < 4 * (2 * LIMIT + SLACK), "{:?}", began.elapsed());

    members.kill(2).await;
    let nobody = client.observe().await.unwrap_err();
    let Error::NoAnswer(failures) = &nobody else {
        panic!("{nobody:?}");
    };
    assert_eq!(failures.len(), 3, "{nobody}");
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn a_member_that_hangs_is_silent_after_the_limit() {
    let members = start(3).await;
    let client = connect(&members, &[1, 2, 3]);
    let view = client.observe().await.unwrap();
    let hanging = (1..=3)
        .find(|number| view.leader != Some(named(&view, *number).id))
        .unwrap();
    members.hang(hanging).await;
    let began = Instant::now();
    let view = client.observe().await.unwrap();
    assert!(began.elapsed() < LIMIT + SLACK, "{:?}", began.elapsed());
    let silent = named(&view, hanging);
    assert!(matches!(silent.health, Health::Unknown { .. }), "{silent:?}");
    assert!(reason(silent).contains("no answer within"), "{silent:?}");
    let healthy = view.voters().filter(|member| member.health == Health::Healthy);
    assert_eq!(healthy.count(), 2, "{view:?}");
    assert_eq!(view.membership, Membership::Confirmed);
    client.remove_member(silent.id).await.unwrap();
}
