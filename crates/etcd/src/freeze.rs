//! Freezing the only member, and thawing it: an alarm CORRUPT that this client raises and clears.

use std::net::SocketAddr;
use std::time::Duration;

use crate::access::Checked;
use crate::observe::observe;
use crate::peer::{Deadline, Peer};
use crate::protocol::{AlarmAction, AlarmRequest, AlarmResponse, AlarmType};
use crate::view::{EtcdView, MemberId, Membership};
use crate::{Error, Failure};

pub(crate) async fn freeze(access: &Checked) -> Result<(), Error> {
    let view = observe(access).await?;
    if view.frozen().is_some() {
        return Ok(());
    }
    let (id, endpoint) = freezable(&view).map_err(Error::NotFreezable)?;
    let request = AlarmRequest {
        action: AlarmAction::Activate.into(),
        member_id: id.0,
        alarm: AlarmType::Corrupt.into(),
    };
    let peer = access.peer(endpoint)?;
    let answer = alarm(&peer, access.limit(), request).await;
    answer.map(drop).map_err(|source| Error::Call {
        what: format!("freeze member {id}"),
        endpoint,
        source,
    })
}

pub(crate) async fn thaw(access: &Checked) -> Result<(), Error> {
    let view = observe(access).await?;
    // Alarms go through the log: any member that has a leader passes them on, whatever its own alarms are.
    let endpoint = view
        .voters()
        .filter_map(|member| member.status.as_ref())
        .find(|status| status.leader.is_some())
        .map(|status| status.endpoint)
        .ok_or_else(|| Error::NoQuorum(view.faults()))?;
    let failed = |what: String| {
        move |source| Error::Call {
            what,
            endpoint,
            source,
        }
    };
    let peer = access.peer(endpoint)?;
    let listed = alarm(&peer, access.limit(), AlarmRequest::default()).await;
    let listed = listed.map_err(failed("list its alarms".to_owned()))?;
    let corrupt = i32::from(AlarmType::Corrupt);
    for raised in listed.alarms.iter().filter(|raised| raised.alarm == corrupt) {
        let request = AlarmRequest {
            action: AlarmAction::Deactivate.into(),
            member_id: raised.member_id,
            alarm: corrupt,
        };
        let what = format!("clear the alarm CORRUPT of member {}", MemberId(raised.member_id));
        let cleared = alarm(&peer, access.limit(), request).await;
        cleared.map_err(failed(what))?;
    }
    Ok(())
}

async fn alarm(peer: &Peer, limit: Duration, request: AlarmRequest) -> Result<AlarmResponse, Failure> {
    let call = async { peer.maintenance().alarm(request).await };
    Deadline::after(limit).call(call).await
}

/// The one member and where it answers, or why it must not be frozen.
fn freezable(view: &EtcdView) -> Result<(MemberId, SocketAddr), String> {
    if let Membership::Unconfirmed { reason } = &view.membership {
        return Err(format!("its members are not known for certain ({reason})"));
    }
    if view.members.len() != 1 {
        let names: Vec<&str> = view.members.iter().map(|member| member.name.as_str()).collect();
        return Err(format!(
            "it has {} members ({}), and only one that is alone can be",
            names.len(),
            names.join(", ")
        ));
    }
    if let Some(alarm) = view.alarms.first() {
        return Err(format!("an id that is no member has {alarm}"));
    }
    view.serving(|_| true).ok_or_else(|| view.faults())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Alarm, Health, MemberStatus, MemberView};

    fn member(id: u64, alarms: Vec<Alarm>) -> MemberView {
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 2379));
        MemberView {
            id: MemberId(id),
            name: format!("cp-{id}"),
            peer_urls: Vec::new(),
            client_urls: vec![format!("https://{endpoint}")],
            learner: false,
            health: match alarms.first() {
                None => Health::Healthy,
                Some(alarm) => Health::Unhealthy {
                    reason: alarm.to_string(),
                },
            },
            status: Some(MemberStatus {
                endpoint,
                version: "3.6.6".to_owned(),
                leader: Some(MemberId(id)),
                revision: 7,
                raft_index: 9,
                raft_applied_index: 9,
                raft_term: 2,
                db_size: 20_480,
                errors: Vec::new(),
            }),
            alarms,
        }
    }

    fn view(members: Vec<MemberView>, alarms: Vec<Alarm>) -> EtcdView {
        EtcdView {
            cluster: 1,
            leader: Some(MemberId(1)),
            members,
            membership: Membership::Confirmed,
            alarms,
            outsiders: Vec::new(),
        }
    }

    #[test]
    fn only_one_healthy_member_without_alarms_is_frozen() {
        let healthy = || member(1, Vec::new());
        assert_eq!(
            freezable(&view(vec![healthy()], Vec::new())).unwrap().0,
            MemberId(1)
        );

        let two = view(vec![healthy(), member(2, Vec::new())], Vec::new());
        let full = view(vec![member(1, vec![Alarm::NoSpace])], Vec::new());
        let foreign = view(vec![healthy()], vec![Alarm::Corrupt]);
        let mut silent = view(vec![healthy()], Vec::new());
        silent.members[0].health = Health::Unknown {
            reason: "no answer within 5 s".to_owned(),
        };
        let mut unsure = view(vec![healthy()], Vec::new());
        unsure.membership = Membership::Unconfirmed {
            reason: "no leader".to_owned(),
        };
        for (refused, expected) in [
            (two, "it has 2 members (cp-1, cp-2)"),
            (full, "alarm NOSPACE"),
            (foreign, "an id that is no member has alarm CORRUPT"),
            (silent, "no answer within 5 s"),
            (unsure, "not known for certain (no leader)"),
        ] {
            let why = freezable(&refused).unwrap_err();
            assert!(why.contains(expected), "{why}");
            assert_eq!(refused.frozen(), None, "{expected}");
        }
    }

    #[test]
    fn frozen_is_who_has_no_other_trouble() {
        let frozen = view(vec![member(1, vec![Alarm::Corrupt])], Vec::new());
        assert!(frozen.is_frozen());
        assert_eq!(frozen.frozen().unwrap().0, MemberId(1));
        freezable(&frozen).unwrap_err();

        // Etcd itself has found that members differ.
        let differing = view(
            vec![member(1, vec![Alarm::Corrupt]), member(2, Vec::new())],
            Vec::new(),
        );
        assert!(differing.is_frozen());
        assert_eq!(differing.frozen(), None);
        let full = view(vec![member(1, vec![Alarm::NoSpace, Alarm::Corrupt])], Vec::new());
        assert_eq!(full.frozen(), None);
        assert!(!view(vec![member(1, vec![Alarm::NoSpace])], Vec::new()).is_frozen());
    }
}
