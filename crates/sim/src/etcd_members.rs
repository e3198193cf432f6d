//! Real members of an etcd cluster on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, Credential, Validity};
use tempfile::TempDir;

use crate::{Program, serving_certificate};

/// Members `cp-1`, `cp-2`, ... with certificates of one CA and the flags that kubeadm gives them. Each has an address of
/// its own (127.X.Y.1, 127.X.Y.2, ...) and kubeadm's ports, as nodes have.
#[derive(Debug)]
pub struct EtcdMembers {
    pki: ClusterPki,
    network: [u8; 2],
    members: Vec<Program>,
    folder: TempDir,
}

impl Default for EtcdMembers {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            pki: ClusterPki::generate(hour()).unwrap(),
            network: network(folder.path()),
            members: Vec::new(),
            folder,
        }
    }
}

impl EtcdMembers {
    /// `count` members that found a cluster together. They take a moment to become ready.
    #[must_use]
    pub fn start(count: u8) -> Self {
        let mut members = Self::default();
        let all: Vec<u8> = (1..=count).collect();
        for number in 1..=count {
            members.run(number, &all, "new");
        }
        members
    }

    /// Starts the next member of a cluster that has it in its list.
    pub fn join(&mut self) {
        let number = self.count() + 1;
        let all: Vec<u8> = (1..=number).collect();
        self.run(number, &all, "existing");
    }

    /// How many were started.
    #[must_use]
    pub fn count(&self) -> u8 {
        u8::try_from(self.members.len()).unwrap()
    }

    /// Where clients reach a member.
    #[must_use]
    pub fn endpoint(&self, number: u8) -> SocketAddr {
        SocketAddr::from((self.ip(number), 2379))
    }

    /// Where members reach a member.
    #[must_use]
    pub fn peer_url(&self, number: u8) -> String {
        format!("https://{}:2380", self.ip(number))
    }

    /// Ends a member by SIGKILL.
    pub async fn kill(&mut self, number: u8) {
        self.members[usize::from(number) - 1].kill().await;
    }

    /// Stops a member by SIGSTOP.
    pub async fn hang(&self, number: u8) {
        self.members[usize::from(number) - 1].hang().await;
    }

    /// The CA's certificate (PEM).
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.pki.etcd.certificate
    }

    /// A new client certificate.
    #[must_use]
    pub fn client(&self) -> Credential {
        self.pki.etcd_client(hour()).unwrap()
    }

    /// A folder that ends with this value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn ip(&self, number: u8) -> Ipv4Addr {
        let [second, third] = self.network;
        Ipv4Addr::new(127, second, third, number)
    }

    fn run(&mut self, number: u8, all: &[u8], state: &str) {
        let at = self.folder.path().join(number.to_string());
        std::fs::create_dir(&at).unwrap();
        let ip = self.ip(number).to_string();
        let names = ["localhost", "127.0.0.1", &ip];
        let own = serving_certificate(&self.pki.etcd, &format!("cp-{number}"), &names);
        for (name, text) in [
            ("ca.crt", &self.pki.etcd.certificate),
            ("own.crt", &own.certificate),
            ("own.key", own.key.reveal()),
        ] {
            std::fs::write(at.join(name), text).unwrap();
        }
        let file = |name: &str| PathBuf::from(&at).join(name).display().to_string();
        let cluster = all
            .iter()
            .map(|number| format!("cp-{number}={}", self.peer_url(*number)));
        let mut arguments = vec![
            format!("--name=cp-{number}"),
            format!("--data-dir={}", file("data")),
            format!("--listen-client-urls=https://{ip}:2379"),
            format!("--advertise-client-urls=https://{ip}:2379"),
            format!("--listen-peer-urls={}", self.peer_url(number)),
            format!("--initial-advertise-peer-urls={}", self.peer_url(number)),
            format!("--initial-cluster={}", cluster.collect::<Vec<_>>().join(",")),
            format!("--initial-cluster-state={state}"),
            // Patient enough for a busy machine.
            "--heartbeat-interval=200".to_owned(),
            "--election-timeout=2000".to_owned(),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=error".to_owned(),
        ];
        for side in ["", "peer-"] {
            arguments.extend([
                format!("--{side}cert-file={}", file("own.crt")),
                format!("--{side}key-file={}", file("own.key")),
                format!("--{side}trusted-ca-file={}", file("ca.crt")),
                format!("--{side}client-cert-auth=true"),
            ]);
        }
        self.members.push(Program::start("etcd", &at, &arguments));
    }
}

fn hour() -> Validity {
    Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1))
}

/// Two octets that follow from the scratch folder's random name: tests at the same time must not meet.
fn network(folder: &Path) -> [u8; 2] {
    let name = folder.display().to_string();
    let hash = name.bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let [_, second, third, _] = hash.to_be_bytes();
    [second.max(1), third]
}
