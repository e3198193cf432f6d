//! From the answers of all endpoints to one view: pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::protocol::{AlarmMember, AlarmType, Member, MemberListResponse, StatusResponse};
use crate::view::{Alarm, EtcdView, Health, MemberId, MemberStatus, MemberView, Membership, Outsider};
use crate::{Error, Failure};

/// Everything that one endpoint said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) endpoint: SocketAddr,
    pub(crate) status: Result<StatusResponse, Failure>,
    /// The members that it knows.
    pub(crate) known: Result<MemberListResponse, Failure>,
    /// A read by a quorum.
    pub(crate) read: Result<(), Failure>,
    /// The members by a quorum.
    pub(crate) agreed: Result<MemberListResponse, Failure>,
    pub(crate) alarms: Vec<AlarmMember>,
}

impl Answer {
    /// Before it was asked for what takes a quorum.
    pub(crate) fn new(
        endpoint: SocketAddr,
        status: Result<StatusResponse, Failure>,
        known: Result<MemberListResponse, Failure>,
    ) -> Self {
        let unasked = || Failure::Refused("it was not asked".to_owned());
        let failure = status.as_ref().err().cloned().unwrap_or_else(unasked);
        Self {
            endpoint,
            status,
            known,
            read: Err(failure.clone()),
            agreed: Err(failure),
            alarms: Vec::new(),
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| !status.errors.is_empty())
    }

    /// The cluster and member that it says it is.
    fn identity(&self) -> Option<(u64, MemberId)> {
        let header = self.status.as_ref().ok()?.header?;
        Some((header.cluster_id, MemberId(header.member_id)))
    }

    fn list(&self) -> Result<&MemberListResponse, &Failure> {
        self.agreed.as_ref().or(self.known.as_ref())
    }
}

/// The address in a client URL; kubeadm writes no names.
pub(crate) fn client_address(url: &str) -> Option<SocketAddr> {
    let url = Url::parse(url).ok()?;
    let ip = match url.host()? {
        Host::Ipv4(ip) => IpAddr::V4(ip),
        Host::Ipv6(ip) => IpAddr::V6(ip),
        Host::Domain(_) => return None,
    };
    Some(SocketAddr::new(ip, url.port_or_known_default()?))
}

/// One view of the cluster that most endpoints are in. A cluster with a quorum goes before one without.
pub(crate) fn view(answers: &[Answer]) -> Result<EtcdView, Error> {
    let Some(cluster) = cluster(answers) else {
        let failure = |answer: &Answer| {
            let failure = answer.status.as_ref().err().or(answer.known.as_ref().err());
            failure.map(|failure| (answer.endpoint, failure.clone()))
        };
        return Err(Error::NoAnswer(answers.iter().filter_map(failure).collect()));
    };
    let is_ours = |answer: &&Answer| answer.identity().is_some_and(|(of, _)| of == cluster);
    let ours: Vec<&Answer> = answers.iter().filter(is_ours).collect();
    let agreed = ours.iter().find_map(|answer| answer.agreed.as_ref().ok());
    let membership = match agreed {
        Some(_) => Membership::Confirmed,
        None => Membership::Unconfirmed {
            reason: reasons(ours.iter().filter_map(|answer| {
                let failure = answer.agreed.as_ref().err()?;
                Some((answer.endpoint, failure.to_string()))
            })),
        },
    };
    let latest = ours.iter().filter(|answer| answer.list().is_ok());
    let latest = latest.max_by_key(|answer| answer.status.as_ref().map_or(0, |status| status.raft_index));
    let list = agreed.or_else(|| latest?.list().ok());
    let mut members: Vec<MemberView> = list
        .iter()
        .flat_map(|list| &list.members)
        .map(|member| member_view(member, &ours, answers))
        .collect();
    members.sort_by_key(|member| member.id);
    let leader = ours
        .iter()
        .filter_map(|answer| answer.status.as_ref().ok())
        .filter(|status| status.leader != 0)
        .max_by_key(|status| status.raft_term)
        .map(|status| MemberId(status.leader));
    let outsiders = answers
        .iter()
        .filter_map(|answer| outsider(answer, cluster, &members))
        .collect();
    let alarms = unclaimed(&ours, &members);
    Ok(EtcdView {
        cluster,
        members,
        membership,
        leader,
        alarms,
        outsiders,
    })
}

/// The cluster to look at, among those of which an endpoint gave the members.
fn cluster(answers: &[Answer]) -> Option<u64> {
    let mut found: BTreeMap<u64, (bool, usize)> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| answer.list().is_ok()) {
        if let Some((cluster, _)) = answer.identity() {
            let (agreed, count) = found.entry(cluster).or_default();
            *agreed |= answer.agreed.is_ok();
            *count += 1;
        }
    }
    let best = found
        .into_iter()
        .max_by_key(|(cluster, rank)| (*rank, Reverse(*cluster)));
    best.map(|(cluster, _)| cluster)
}

fn member_view(member: &Member, ours: &[&Answer], answers: &[Answer]) -> MemberView {
    let id = MemberId(member.id);
    let own = ours
        .iter()
        .find(|answer| answer.identity().is_some_and(|(_, of)| of == id));
    let alarms = alarms(ours)
        .filter(|(of, _)| *of == id)
        .map(|(_, alarm)| alarm)
        .collect::<Vec<_>>();
    let (health, status) = match own {
        Some(answer) => (
            health(member, answer, &alarms),
            answer
                .status
                .as_ref()
                .ok()
                .map(|status| member_status(answer.endpoint, status)),
        ),
        None => (
            Health::Unknown {
                reason: silence(member, answers),
            },
            None,
        ),
    };
    MemberView {
        id,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        learner: member.is_learner,
        health,
        status,
        alarms,
    }
}

fn health(member: &Member, answer: &Answer, alarms: &[Alarm]) -> Health {
    let leaderless = answer.status.as_ref().is_ok_and(|status| status.leader == 0);
    let reason = if let Some(alarm) = alarms.first() {
        alarm.to_string()
    } else if leaderless {
        "it has no leader".to_owned()
    } else if member.is_learner {
        return Health::Healthy;
    } else {
        match &answer.read {
            Ok(()) => return Health::Healthy,
            Err(failure) => format!("it serves no reads: {failure}"),
        }
    };
    Health::Unhealthy { reason }
}

/// Why nothing is known of a member that gave no answer of its own.
fn silence(member: &Member, answers: &[Answer]) -> String {
    if member.client_urls.is_empty() {
        return "it has not started since it was added".to_owned();
    }
    let of_member = answers
        .iter()
        .filter(|answer| is_at(member.client_urls.iter(), answer.endpoint));
    let tried = reasons(of_member.map(|answer| {
        let why = match (&answer.status, answer.identity()) {
            (Err(failure), _) => failure.to_string(),
            (Ok(_), Some((cluster, member))) => {
                format!("member {member} of cluster {cluster:x} answers in its place")
            }
            (Ok(_), None) => "its answer does not say who it is".to_owned(),
        };
        (answer.endpoint, why)
    }));
    if tried.is_empty() {
        return format!("no answer at {} is its own", member.client_urls.join(", "));
    }
    tried
}

fn is_at<'a>(mut urls: impl Iterator<Item = &'a String>, endpoint: SocketAddr) -> bool {
    urls.any(|url| client_address(url) == Some(endpoint))
}

fn outsider(answer: &Answer, cluster: u64, members: &[MemberView]) -> Option<Outsider> {
    let endpoint = answer.endpoint;
    match (&answer.status, answer.identity()) {
        (Err(failure), _) => {
            let of_member = members
                .iter()
                .any(|member| is_at(member.client_urls.iter(), endpoint));
            (!of_member).then(|| Outsider::Silent {
                endpoint,
                reason: failure.to_string(),
            })
        }
        (Ok(_), Some((of, id))) => {
            let is_member = of == cluster && members.iter().any(|member| member.id == id);
            (!is_member).then_some(Outsider::Stray {
                endpoint,
                cluster: of,
                member: id,
            })
        }
        (Ok(_), None) => Some(Outsider::Silent {
            endpoint,
            reason: "its answer does not say who it is".to_owned(),
        }),
    }
}

fn member_status(endpoint: SocketAddr, status: &StatusResponse) -> MemberStatus {
    MemberStatus {
        endpoint,
        version: status.version.clone(),
        leader: (status.leader != 0).then_some(MemberId(status.leader)),
        revision: status.header.map_or(0, |header| header.revision),
        raft_index: status.raft_index,
        raft_applied_index: status.raft_applied_index,
        raft_term: status.raft_term,
        db_size: status.db_size,
        errors: status.errors.clone(),
    }
}

/// All alarms, each once.
fn alarms(ours: &[&Answer]) -> impl Iterator<Item = (MemberId, Alarm)> {
    let mut found: Vec<(MemberId, Alarm)> = Vec::new();
    for raised in ours.iter().flat_map(|answer| &answer.alarms) {
        let alarm = match AlarmType::try_from(raised.alarm) {
            Ok(AlarmType::Nospace) => Alarm::NoSpace,
            Ok(AlarmType::Corrupt) => Alarm::Corrupt,
            Ok(AlarmType::None) | Err(_) => Alarm::Other,
        };
        let entry = (MemberId(raised.member_id), alarm);
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    found.into_iter()
}

fn unclaimed(ours: &[&Answer], members: &[MemberView]) -> Vec<Alarm> {
    alarms(ours)
        .filter(|(id, _)| members.iter().all(|member| member.id != *id))
        .map(|(_, alarm)| alarm)
        .collect()
}

fn reasons(failures: impl Iterator<Item = (SocketAddr, String)>) -> String {
    let texts: Vec<String> = failures
        .map(|(endpoint, why)| format!("{endpoint}: {why}"))
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
