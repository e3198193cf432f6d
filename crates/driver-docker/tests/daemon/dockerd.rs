//! A real daemon of its own: its data, its socket and its network are this test's alone, and go with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Image that every daemon of the tests has: a system that waits.
pub(crate) const IMAGE: &str = "waiting:v1";
/// Network that every daemon of the tests has, and its subnet.
pub(crate) const NETWORK: &str = "lan";
pub(crate) const SUBNET: &str = "172.30.0.0/24";
/// For everything that has to happen at some time.
const GENEROUS: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// A daemon that runs.
pub(crate) struct Dockerd {
    child: Child,
    directory: TempDir,
}

impl Dockerd {
    /// Starts one with [`IMAGE`] and [`NETWORK`]. It needs root.
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let log = File::create(directory.path().join("log")).expect("a log");
        std::fs::write(directory.path().join("daemon.json"), "{}").expect("an empty configuration");
        // It dies with the thread that starts it, and has its own network and its own view of mounts.
        let child = Command::new("unshare")
            .args(["--net", "--mount", "setpriv", "--pdeathsig", "TERM"])
            .args(["sh", "-c", "ip link set lo up && exec dockerd \"$@\"", "dockerd"])
            .args(["--host", &format!("unix://{}", at("docker.sock"))])
            .args([
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .args(["--config-file", &at("daemon.json")])
            .args(["--iptables=false", "--ip6tables=false", "--shutdown-timeout", "1"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log twice"))
            .stderr(log)
            .spawn()
            .expect("unshare of util-linux starts");
        let daemon = Self { child, directory };
        daemon.wait_until_it_answers();
        daemon.add_image();
        let network = json!({"Name": NETWORK, "IPAM": {"Config": [{"Subnet": SUBNET}]}});
        daemon
            .call("POST", "/networks/create", Some(&network))
            .expect(201);
        daemon
    }

    /// Of the daemon itself, in its network.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// Folder of what the test itself keeps.
    pub(crate) fn folder(&self) -> &Path {
        self.directory.path()
    }

    fn wait_until_it_answers(&self) {
        let until = Instant::now() + GENEROUS;
        while self.call("GET", "/_ping", None).status != 200 {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "dockerd does not answer: {log}");
            std::thread::sleep(LOOK);
        }
    }

    /// A file system with one program, which waits until it is told to end.
    pub(crate) fn archive(&self) -> PathBuf {
        let (program, archive) = (self.folder().join("init"), self.folder().join("root.tar"));
        if !archive.exists() {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/pause/pause.c");
            let compiled = Command::new("musl-gcc")
                .args(["-static", "-Os", "-o"])
                .args([program.as_os_str(), source.as_ref()])
                .status();
            assert!(
                compiled.is_ok_and(|status| status.success()),
                "musl-gcc compiles {source}"
            );
            let mut tar = tar::Builder::new(File::create(&archive).expect("an archive"));
            tar.append_path_with_name(&program, "sbin/init")
                .expect("the program in it");
            tar.finish().expect("the archive is whole");
        }
        archive
    }

    fn add_image(&self) {
        let (repository, tag) = IMAGE.split_once(':').expect("name and tag");
        let changes = "changes=CMD%20%5B%22%2Fsbin%2Finit%22%5D";
        let path = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}&{changes}");
        let archive = format!("@{}", self.archive().display());
        self.curl(
            "POST",
            &path,
            &["--data-binary", &archive, "-H", "content-type: application/x-tar"],
        )
        .expect(200);
    }

    /// A request by curl: another client than the driver's.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let text = body.map(Value::to_string);
        let mut arguments = vec!["-H", "content-type: application/json"];
        if let Some(text) = &text {
            arguments.extend(["--data-binary", text]);
        }
        self.curl(method, path, &arguments)
    }

    fn curl(&self, method: &str, path: &str, arguments: &[&str]) -> Answer {
        let output = Command::new("curl")
            .args(["--silent", "--globoff", "--request", method, "--unix-socket"])
            .arg(self.socket())
            .args(["--write-out", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("http://docker{path}"))
            .output()
            .expect("curl starts");
        let end = output
            .stdout
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap_or_default();
        let (body, status) = output.stdout.split_at(end);
        let status = String::from_utf8_lossy(status).trim().parse().unwrap_or_default();
        Answer {
            what: format!("{method} {path}"),
            status,
            body: body.to_vec(),
        }
    }

    /// What the daemon says of a container.
    pub(crate) fn inspect(&self, name: &str) -> Value {
        self.call("GET", &format!("/containers/{name}/json"), None)
            .expect(200)
            .json()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // It ends its containers and its containerd first.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default());
        let _ = kill(pid, Signal::SIGTERM);
        let until = Instant::now() + GENEROUS;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > until {
                let _ = self.child.kill();
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// What curl has got; status 0 is none.
pub(crate) struct Answer {
    what: String,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn expect(self, status: u16) -> Self {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, status, "{}: {text}", self.what);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the daemon answers with JSON")
    }
}
