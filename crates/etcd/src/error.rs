//! What can go wrong with etcd.

use std::net::SocketAddr;
use std::time::Duration;

use crate::MemberId;

/// Why one call to one member brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing came back in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// No connection.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Its certificate is not of the CA, not for its address, or not valid now.
    #[error("its certificate is not trusted: {0}")]
    Untrusted(String),
    /// It ended a connection that it had accepted. In TLS 1.3 it judges the client's certificate after that.
    #[error("it closes the connection ({0}): it is ending, or does not trust the client certificate")]
    Closed(String),
    /// etcd's own error, such as `etcdserver: no leader`.
    #[error("{0}")]
    Refused(String),
}

/// One failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// CA, certificate or key are no usable PEM.
    #[error("cannot use {what}: {why}")]
    Credentials {
        /// Which of them.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// No endpoint gave an answer that helps: each one with the reason.
    #[error("no member of etcd answers ({})", listed(.0))]
    NoAnswer(Vec<(SocketAddr, Failure)>),
    /// The leader does not answer, or there is none. The text names the members that are not healthy.
    #[error("the leader of etcd does not answer ({0})")]
    NoLeader(String),
    /// No quorum serves, so nothing can be changed. The text names the members that are not healthy.
    #[error("etcd has no quorum ({0})")]
    NoQuorum(String),
    /// There is no such member.
    #[error("etcd has no member {0}")]
    NoMember(MemberId),
    /// The learner lags behind the leader: worth another try later.
    #[error("member {0} cannot vote yet: it lags behind the leader")]
    LearnerBehind(MemberId),
    /// It is not one healthy member without alarms.
    #[error("etcd cannot be frozen: {0}")]
    NotFreezable(String),
    /// A member did not do what it was asked for.
    #[error("etcd at {endpoint} does not {what}")]
    Call {
        /// What was asked for, such as `promote member 8e9e05c52164694d`.
        what: String,
        /// Who was asked.
        endpoint: SocketAddr,
        /// Why.
        #[source]
        source: Failure,
    },
    /// What arrived of a snapshot is not what the member sent.
    #[error("the snapshot from {endpoint} is damaged: {why}")]
    Damaged {
        /// Who sent it.
        endpoint: SocketAddr,
        /// What does not fit.
        why: String,
    },
    /// A snapshot cannot be written.
    #[error("cannot write the snapshot")]
    Write(#[source] std::io::Error),
}

fn listed(failures: &[(SocketAddr, Failure)]) -> String {
    if failures.is_empty() {
        return "no endpoint is known".to_owned();
    }
    let texts: Vec<String> = failures
        .iter()
        .map(|(endpoint, failure)| format!("{endpoint}: {failure}"))
        .collect();
    texts.join("; ")
}
