//! A cluster of real members, and the client under test.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use etcd::{Access, Error, Etcd, EtcdConnector, EtcdView, Health, MemberView, TlsEtcdConnector};
use serde_json::{Value, json};
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

/// Calls a member as a user of etcd does, by its JSON gateway.
#[derive(Clone)]
pub(crate) struct Gateway {
    at: SocketAddr,
    own: PathBuf,
    ca: PathBuf,
}

impl Gateway {
    pub(crate) fn new(members: &EtcdMembers, number: u8) -> Self {
        let access = access(members, &[number]);
        let file = |name: &str| members.folder().join(format!("{name}-{number}.pem"));
        let (own, ca) = (file("client"), file("client-ca"));
        std::fs::write(&own, format!("{}{}", access.certificate, access.key.reveal())).unwrap();
        std::fs::write(&ca, access.ca).unwrap();
        let at = members.endpoint(number);
        Self { at, own, ca }
    }

    /// An error is what etcd refuses with.
    pub(crate) async fn call(&self, what: &str, body: &Value) -> Result<Value, String> {
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "20"])
            .arg("--data")
            .arg(body.to_string())
            .arg("--cacert")
            .arg(&self.ca)
            .arg("--cert")
            .arg(&self.own)
            .arg(format!("https://{}/v3/{what}", self.at))
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_str(&text).unwrap()),
            false => Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    pub(crate) async fn put(&self, key: &str, value: &str) -> Result<(), String> {
        let (key, value) = (BASE64_STANDARD.encode(key), BASE64_STANDARD.encode(value));
        let body = json!({"key": key, "value": value});
        self.call("kv/put", &body).await.map(drop)
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let body = json!({"key": BASE64_STANDARD.encode(key)});
        let answer = self.call("kv/range", &body).await.unwrap();
        let value = answer["kvs"][0]["value"].as_str()?;
        Some(String::from_utf8(BASE64_STANDARD.decode(value).unwrap()).unwrap())
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
