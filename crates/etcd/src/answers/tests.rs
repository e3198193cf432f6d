use std::time::Duration;

use super::*;
use crate::protocol::ResponseHeader;

const CLUSTER: u64 = 0xc;

fn endpoint(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 2379))
}

fn silent() -> Failure {
    Failure::Silent(Duration::from_secs(5))
}

fn member(number: u8) -> Member {
    Member {
        id: u64::from(number),
        name: format!("cp-{number}"),
        peer_urls: vec![format!("https://192.0.2.{number}:2380")],
        client_urls: vec![format!("https://192.0.2.{number}:2379")],
        is_learner: false,
    }
}

/// Three members.
fn list() -> MemberListResponse {
    MemberListResponse {
        header: None,
        members: vec![member(3), member(1), member(2)],
    }
}

/// A healthy answer; the first member leads.
fn answer(number: u8) -> Answer {
    let status = StatusResponse {
        header: Some(ResponseHeader {
            cluster_id: CLUSTER,
            member_id: u64::from(number),
            revision: 40,
        }),
        version: "3.6.6".to_owned(),
        db_size: 20_480,
        leader: 1,
        raft_index: 90,
        raft_term: 2,
        raft_applied_index: 90,
        errors: Vec::new(),
        is_learner: false,
    };
    Answer {
        read: Ok(()),
        agreed: Ok(list()),
        ..Answer::new(endpoint(number), Ok(status), Ok(list()))
    }
}

fn unreached(number: u8) -> Answer {
    Answer::new(endpoint(number), Err(silent()), Err(silent()))
}

fn status(answer: &mut Answer) -> &mut StatusResponse {
    answer.status.as_mut().unwrap()
}

fn is(answer: &mut Answer, cluster: u64, member: u64) {
    let header = status(answer).header.as_mut().unwrap();
    (header.cluster_id, header.member_id) = (cluster, member);
}

fn with(mut answer: Answer, change: impl FnOnce(&mut Answer)) -> Answer {
    change(&mut answer);
    answer
}

#[test]
fn a_member_is_what_its_own_answer_shows() {
    let unknown = |reason: &str| Health::Unknown {
        reason: reason.to_owned(),
    };
    let unhealthy = |reason: &str| Health::Unhealthy {
        reason: reason.to_owned(),
    };
    let alarm = |kind: AlarmType| AlarmMember {
        member_id: 2,
        alarm: kind.into(),
    };
    let cases: Vec<(Answer, Health)> = vec![
        (answer(2), Health::Healthy),
        (unreached(2), unknown("192.0.2.2:2379: no answer within 5 s")),
        (
            with(answer(2), |answer| answer.read = Err(silent())),
            unhealthy("it serves no reads: no answer within 5 s"),
        ),
        (
            with(answer(2), |answer| status(answer).leader = 0),
            unhealthy("it has no leader"),
        ),
        (
            with(answer(2), |answer| {
                answer.alarms = vec![alarm(AlarmType::Nospace)]
            }),
            unhealthy("alarm NOSPACE: its database is full"),
        ),
        (
            with(answer(2), |answer| {
                answer.alarms = vec![alarm(AlarmType::Corrupt)]
            }),
            unhealthy("alarm CORRUPT: it is frozen, or its data differs from the others'"),
        ),
        // The machine was installed anew and is another member now, or belongs to another cluster.
        (
            with(answer(2), |answer| is(answer, CLUSTER, 9)),
            unknown("192.0.2.2:2379: member 9 of cluster c answers in its place"),
        ),
        (
            with(answer(2), |answer| is(answer, 0xd, 2)),
            unknown("192.0.2.2:2379: member 2 of cluster d answers in its place"),
        ),
        (
            with(answer(2), |answer| status(answer).header = None),
            unknown("192.0.2.2:2379: its answer does not say who it is"),
        ),
    ];
    for (own, expected) in cases {
        let view = view(&[answer(1), own.clone(), answer(3)]).unwrap();
        let ids: Vec<u64> = view.members.iter().map(|member| member.id.0).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(view.members[1].health, expected, "{own:?}");
        assert_eq!(view.members[0].health, Health::Healthy);
        assert_eq!(view.members[2].health, Health::Healthy);
        assert_eq!(view.leader, Some(MemberId(1)));
        assert_eq!(view.faults().is_empty(), expected == Health::Healthy);
    }
}

#[test]
fn a_learner_needs_no_reads_and_has_no_vote() {
    let mut list = list();
    list.members[0].is_learner = true;
    // What etcd answers a learner's client.
    let refused = || Failure::Refused("etcdserver: rpc not supported for learner".to_owned());
    let learner = with(answer(3), |answer| {
        (answer.known, answer.agreed, answer.read) = (Err(refused()), Err(refused()), Err(refused()));
    });
    let voter = with(answer(1), |answer| answer.agreed = Ok(list));
    let view = view(&[learner, voter, answer(2)]).unwrap();
    let learner = view.member(MemberId(3)).unwrap();
    assert!(learner.learner);
    assert_eq!(learner.health, Health::Healthy);
    assert_eq!((view.voters().count(), view.quorum()), (2, 2));
}

#[test]
fn a_member_that_has_not_started_has_no_address() {
    let mut list = list();
    (list.members[0].name, list.members[0].client_urls) = (String::new(), Vec::new());
    let view = view(&[with(answer(1), |answer| answer.agreed = Ok(list)), unreached(3)]).unwrap();
    let fresh = view.member(MemberId(3)).unwrap();
    assert!(
        matches!(&fresh.health, Health::Unknown { reason } if reason == "it has not started since it was added"),
        "{fresh:?}"
    );
    assert!(
        matches!(view.outsiders[..], [Outsider::Silent { endpoint: at, .. }] if at == endpoint(3)),
        "{view:?}"
    );
    let other = view.member(MemberId(2)).unwrap();
    assert!(
        matches!(&other.health, Health::Unknown { reason } if reason.contains("https://192.0.2.2:2379")),
        "{other:?}"
    );
}

#[test]
fn the_cluster_with_a_quorum_counts_and_the_rest_is_stray() {
    let foreign = |number: u8| {
        with(answer(number), |answer| {
            is(answer, 0xd, u64::from(number));
            answer.agreed = Err(silent());
        })
    };
    let view = view(&[foreign(11), foreign(12), answer(1)]).unwrap();
    assert_eq!(
        (view.cluster, &view.membership),
        (CLUSTER, &Membership::Confirmed)
    );
    let stray = |number: u8| Outsider::Stray {
        endpoint: endpoint(number),
        cluster: 0xd,
        member: MemberId(u64::from(number)),
    };
    assert_eq!(view.outsiders, [stray(11), stray(12)]);
}

#[test]
fn without_a_quorum_the_latest_log_names_the_members() {
    let lost = |number: u8, index: u64, members: Vec<Member>| {
        with(answer(number), |answer| {
            status(answer).raft_index = index;
            answer.agreed = Err(Failure::Refused("etcdserver: no leader".to_owned()));
            answer.known = Ok(MemberListResponse {
                header: None,
                members,
            });
        })
    };
    let old = lost(1, 80, vec![member(1), member(2)]);
    let view = view(&[old, lost(2, 90, list().members)]).unwrap();
    assert_eq!(view.members.len(), 3);
    let expected = "192.0.2.1:2379: etcdserver: no leader; 192.0.2.2:2379: etcdserver: no leader";
    assert!(
        matches!(&view.membership, Membership::Unconfirmed { reason } if reason == expected),
        "{view:?}"
    );
}

#[test]
fn the_answer_of_the_latest_term_names_the_leader() {
    let behind = with(answer(1), |answer| status(answer).raft_term = 1);
    let later = with(answer(2), |answer| {
        (status(answer).raft_term, status(answer).leader) = (5, 3)
    });
    let electing = with(answer(3), |answer| {
        (status(answer).raft_term, status(answer).leader) = (6, 0)
    });
    let view = view(&[behind, later, electing]).unwrap();
    assert_eq!(view.leader, Some(MemberId(3)));
}

#[test]
fn alarms_of_nobody_are_kept() {
    let raised = |member_id| AlarmMember {
        member_id,
        alarm: AlarmType::Corrupt.into(),
    };
    let alarmed = |number| {
        with(answer(number), |answer| {
            answer.alarms = vec![raised(0), raised(2)]
        })
    };
    let view = view(&[alarmed(1), alarmed(3)]).unwrap();
    assert_eq!(view.alarms, [Alarm::Corrupt]);
    // Known of a member that is silent itself.
    assert_eq!(view.member(MemberId(2)).unwrap().alarms, [Alarm::Corrupt]);
}

#[test]
fn nobody_answers() {
    let error = view(&[unreached(1), unreached(2)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no member of etcd answers (192.0.2.1:2379: no answer within 5 s; 192.0.2.2:2379: no answer within 5 s)"
    );
    assert_eq!(
        view(&[]).unwrap_err().to_string(),
        "no member of etcd answers (no endpoint is known)"
    );
}

#[test]
fn addresses_in_client_urls() {
    for (url, expected) in [
        ("https://192.0.2.1:2379", Some("192.0.2.1:2379")),
        ("https://[2001:db8::1]:2379", Some("[2001:db8::1]:2379")),
        ("https://192.0.2.1", Some("192.0.2.1:443")),
        ("https://cp-1:2379", None),
        ("192.0.2.1:2379", None),
        ("", None),
    ] {
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(client_address(url), expected, "{url}");
    }
}

#[test]
fn ids_are_hexadecimal() {
    let id = MemberId(0x8e9e_05c5_2164_694d);
    assert_eq!(id.to_string(), "8e9e05c52164694d");
    assert_eq!("8e9e05c52164694d".parse(), Ok(id));
    assert!("x".parse::<MemberId>().is_err());
}
