//! Real members of an etcd cluster on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, Credential, Validity};
use tempfile::TempDir;

use crate::{Program, newest_build, serving_certificate};

/// In the folder of a member.
const DATA: &str = "data";

/// Members `cp-1`, `cp-2`, ... with certificates of one CA and the flags that kubeadm gives them. Each has an address of
/// its own (127.X.Y.1, 127.X.Y.2, ...) and kubeadm's ports, as nodes have.
#[derive(Debug)]
pub struct EtcdMembers {
    pki: ClusterPki,
    network: [u8; 2],
    members: Vec<Member>,
    folder: TempDir,
}

#[derive(Debug)]
struct Member {
    program: Program,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Member {
    fn start(folder: PathBuf, arguments: Vec<String>) -> Self {
        Self {
            program: Program::start("etcd", &folder, &arguments),
            folder,
            arguments,
        }
    }
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
        self.members[usize::from(number) - 1].program.kill().await;
    }

    /// Starts a member again that was killed, with the data that it has.
    pub fn restart(&mut self, number: u8) {
        let member = &mut self.members[usize::from(number) - 1];
        *member = Member::start(member.folder.clone(), member.arguments.clone());
    }

    /// Starts the next member as the only one of a cluster that begins with a snapshot.
    pub fn found_from(&mut self, snapshot: &Path) {
        let number = self.count() + 1;
        let (folder, arguments) = self.prepare(number, &[number], "new");
        self.unpack(number, snapshot, &folder);
        self.members.push(Member::start(folder, arguments));
    }

    /// Starts the only member, which was killed, with the data of a snapshot instead of its own.
    pub fn restart_from(&mut self, snapshot: &Path) {
        let [member] = self.members.as_slice() else {
            panic!("{} members", self.members.len());
        };
        std::fs::remove_dir_all(member.folder.join(DATA)).unwrap();
        self.unpack(1, snapshot, &member.folder);
        self.restart(1);
    }

    /// Stops a member by SIGSTOP.
    pub async fn hang(&self, number: u8) {
        self.members[usize::from(number) - 1].program.hang().await;
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
        let (folder, arguments) = self.prepare(number, all, state);
        self.members.push(Member::start(folder, arguments));
    }

    /// What `etcdutl` makes of a snapshot for a member that founds a cluster.
    fn unpack(&self, number: u8, snapshot: &Path, folder: &Path) {
        let url = self.peer_url(number);
        let output = std::process::Command::new(newest_build("etcdutl"))
            .args(["snapshot", "restore"])
            .arg(snapshot)
            .arg("--data-dir")
            .arg(folder.join(DATA))
            .arg(format!("--name=cp-{number}"))
            .arg(format!("--initial-cluster=cp-{number}={url}"))
            .arg(format!("--initial-advertise-peer-urls={url}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// A member's folder with its certificates, and the flags that it is started with.
    fn prepare(&self, number: u8, all: &[u8], state: &str) -> (PathBuf, Vec<String>) {
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
            format!("--data-dir={}", file(DATA)),
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
        (at, arguments)
    }
}

fn hour() -> Validity {
    Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1))
}

/// Two bytes that follow from the scratch folder's random name: tests at the same time must not meet.
fn network(folder: &Path) -> [u8; 2] {
    let name = folder.display().to_string();
    let hash = name.bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let [_, second, third, _] = hash.to_be_bytes();
    [second.max(1), third]
}
