//! A control-plane node as far as the shared address goes: a network namespace with one NIC, the files of the keepalived
//! image, an API server that says what the test wants, and keepalived.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Pid;
use tempfile::TempDir;

/// NIC of every node.
pub(crate) const NIC: &str = "eth0";

/// The image's root directory, with the devices that a container runtime would add.
pub(crate) fn image_root() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let root = folder.path().join("root");
    for directory in [&image, &root, &root.join("dev")] {
        fs::create_dir(directory).unwrap();
    }
    let archive = sim::newest_build("keepalived-trixie.tar");
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&image));
    let blobs = fs::read_dir(image.join("blobs/sha256")).unwrap();
    for blob in blobs.map(|blob| blob.unwrap().path()) {
        // The others are JSON.
        if fs::read(&blob).unwrap().starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            run(Command::new("tar")
                .arg("--zstd")
                .arg("-xf")
                .arg(blob)
                .arg("-C")
                .arg(&root));
        }
    }
    for (name, minor) in [("null", 3), ("urandom", 9)] {
        let mode = Mode::from_bits_truncate(0o666);
        mknod(
            &root.join("dev").join(name),
            SFlag::S_IFCHR,
            mode,
            makedev(1, minor),
        )
        .unwrap();
    }
    folder
}

/// A program of the image.
pub(crate) fn in_image(folder: &TempDir, program: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command.arg(folder.path().join("root")).args(program);
    command
}

/// Puts keepalived's configuration into the image's root directory.
pub(crate) fn configure(folder: &TempDir, configuration: &str) {
    let path = folder.path().join("root/etc/keepalived/keepalived.conf");
    fs::write(path, configuration).unwrap();
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

fn ip(arguments: &[&str]) -> String {
    run(Command::new("ip").args(arguments))
}

/// What the node's `/readyz` says.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Readyz {
    /// 200.
    Ok,
    /// 500.
    #[default]
    Failing,
    /// Connections are taken and nothing is said.
    Silent,
}

/// The same, and how often it was asked.
#[derive(Default)]
struct Health {
    says: Mutex<Readyz>,
    asked: AtomicU32,
}

/// One of two nodes.
pub(crate) struct NetworkNode {
    namespace: String,
    folder: TempDir,
    health: Arc<Health>,
    keepalived: Option<Child>,
}

impl NetworkNode {
    /// Two nodes, 192.0.2.11 and 192.0.2.12, with a cable between them.
    pub(crate) fn pair() -> [Self; 2] {
        static PAIRS: AtomicU32 = AtomicU32::new(0);
        let pair = PAIRS.fetch_add(1, Ordering::SeqCst);
        let nodes = [11, 12].map(|host| {
            let namespace = format!("keepalived-{}-{pair}-{host}", std::process::id());
            ip(&["netns", "add", &namespace]);
            Self {
                namespace,
                folder: image_root(),
                health: Arc::default(),
                keepalived: None,
            }
        });
        let [first, second] = &nodes;
        let cable = ["link", "add", NIC, "type", "veth", "peer", "name", NIC, "netns"];
        ip(&[&["-n", &first.namespace], &cable[..], &[&second.namespace]].concat());
        for (node, address) in nodes.iter().zip(["192.0.2.11/24", "192.0.2.12/24"]) {
            node.ip(&["address", "add", address, "dev", NIC]);
            for link in ["lo", NIC] {
                node.ip(&["link", "set", link, "up"]);
            }
            node.serve();
        }
        nodes
    }

    fn ip(&self, arguments: &[&str]) -> String {
        ip(&[&["-n", &self.namespace], arguments].concat())
    }

    /// Starts keepalived.
    pub(crate) fn start(&mut self, configuration: &str) {
        configure(&self.folder, configuration);
        let log = File::create(self.log_path()).unwrap();
        // As the image's entrypoint says.
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "chroot"])
            .arg(self.folder.path().join("root"))
            .args([
                "/usr/sbin/keepalived",
                "--dont-fork",
                "--log-console",
                "--log-detail",
                "--vrrp",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.keepalived = Some(child);
    }

    /// What keepalived has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What `/readyz` says from now on.
    pub(crate) fn set(&self, says: Readyz) {
        *self.health.says.lock().unwrap() = says;
    }

    /// How many processes of checks there are: keepalived follows the link to busybox.
    pub(crate) fn checks(&self) -> usize {
        let pids = ip(&["netns", "pids", &self.namespace]);
        let names = pids
            .lines()
            .map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")));
        names
            .filter(|name| name.as_ref().is_ok_and(|name| name.trim() == "busybox"))
            .count()
    }

    /// How often `/readyz` was asked.
    pub(crate) fn asked(&self) -> u32 {
        self.health.asked.load(Ordering::SeqCst)
    }

    /// Whether it has the shared address.
    pub(crate) fn holds(&self, address: &str) -> bool {
        self.ip(&["-o", "address", "show", "dev", NIC])
            .contains(&format!(" {address}/"))
    }

    /// Ends keepalived without a last word; the address stays, as on a node that hangs.
    pub(crate) fn kill(&mut self) {
        let pids = ip(&["netns", "pids", &self.namespace]);
        for pid in pids.lines().map(|pid| pid.trim().parse().unwrap()) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "keepalived" {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn serve(&self) {
        let (namespace, health) = (self.namespace.clone(), self.health.clone());
        let (bound, is_bound) = std::sync::mpsc::channel();
        // Ends with the test's process. Only this thread enters the namespace.
        thread::spawn(move || {
            let file = File::open(Path::new("/run/netns").join(namespace)).unwrap();
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind("127.0.0.1:6443").unwrap();
            bound.send(()).unwrap();
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                health.asked.fetch_add(1, Ordering::SeqCst);
                let (stream, says) = (stream.unwrap(), *health.says.lock().unwrap());
                if says == Readyz::Silent {
                    kept.push(stream);
                } else {
                    // A check that was given up is no fault of the test.
                    let _ = answer(stream, says == Readyz::Ok);
                }
            }
        });
        is_bound.recv().unwrap();
    }
}

fn answer(mut stream: TcpStream, is_ready: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    assert!(
        request.starts_with(b"GET /readyz HTTP/1.1\r\n"),
        "{}",
        String::from_utf8_lossy(&request)
    );
    let status = if is_ready {
        "200 OK"
    } else {
        "500 Internal Server Error"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    )
}

impl Drop for NetworkNode {
    fn drop(&mut self) {
        if let Some(mut keepalived) = self.keepalived.take() {
            let id = Pid::from_raw(keepalived.id().cast_signed());
            let _ = kill(id, Signal::SIGTERM);
            let _ = keepalived.wait();
        }
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.namespace])
            .output();
    }
}
