//! A cluster of real members, and the client under test.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use etcd::{Access, Error, Etcd, EtcdConnector, EtcdView, Health, MemberView, TlsEtcdConnector};
use sim::EtcdMembers;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Limit of an observation in these tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);

/// `count` members; ready when all are healthy.
pub(crate) async fn start(count: u8) -> EtcdMembers {
    let members = EtcdMembers::start(count);
    let seen = |view: &EtcdView| view.members.len() == usize::from(count) && view.faults().is_empty();
    until(&members, "all are healthy", seen).await;
    members
}

/// A client that knows the endpoints of these members.
pub(crate) fn connect(members: &EtcdMembers, numbers: &[u8]) -> Box<dyn Etcd> {
    TlsEtcdConnector.connect(access(members, numbers)).unwrap()
}

pub(crate) fn access(members: &EtcdMembers, numbers: &[u8]) -> Access {
    let own = members.client();
    Access {
        endpoints: numbers.iter().map(|number| members.endpoint(*number)).collect(),
        ca: members.ca().to_owned(),
        certificate: own.certificate,
        key: own.key,
        limit: LIMIT,
    }
}

/// The first view from all members for which the condition holds.
pub(crate) async fn until(
    members: &EtcdMembers,
    what: &str,
    condition: impl Fn(&EtcdView) -> bool,
) -> EtcdView {
    let numbers: Vec<u8> = (1..=members.count()).collect();
    let client = connect(members, &numbers);
    let seen = |view: &Result<EtcdView, Error>| view.as_ref().is_ok_and(&condition);
    wait(what, async || client.observe().await, seen).await.unwrap()
}

/// Asks until the answer is as it should be; fails with the last answer.
pub(crate) async fn wait<T: Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    condition: impl Fn(&T) -> bool,
) -> T {
    let began = Instant::now();
    loop {
        let answer = ask().await;
        if condition(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not {what}: {answer:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The member of a number.
pub(crate) fn named(view: &EtcdView, number: u8) -> &MemberView {
    let name = format!("cp-{number}");
    view.members.iter().find(|member| member.name == name).unwrap()
}

pub(crate) fn reason(member: &MemberView) -> &str {
    match &member.health {
        Health::Healthy => "",
        Health::Unhealthy { reason } | Health::Unknown { reason } => reason,
    }
}
