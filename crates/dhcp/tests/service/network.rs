//! The server in network namespaces against udhcpc: address, lease record before the ACK, NAK, router advertisement.
//!
//! Needs root, `ip` (iproute2), `unshare`, `nsenter` and `udhcpc`; says so and passes when one is missing.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::packets::{CLIENT, MAC, Packet, SERVER, interface, site, view};
use boot_script::{Event, EventSender, ViewHandle};
use dhcp::{Config, Deps, RouterAdvertiser, Server};
use resources::gantry::SessionPhase;
use store::records::{Query, Records};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A process that keeps the client's namespace.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--net", "sleep", "600"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let namespace = Self(child);
        let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", namespace.0.id());
        wait("the client's namespace", || {
            fs::read_link(&path).is_ok_and(|link| link != own)
        });
        namespace
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&format!("--net=/proc/{}/ns/net", self.0.id()), program]);
        command
    }

    fn run(&self, line: &str) -> String {
        let mut words = line.split(' ');
        let output = self.command(words.next().unwrap()).args(words).output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited in vain for {what}"
        );
        std::thread::yield_now();
    }
}

fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("root");
    }
    ["ip", "unshare", "nsenter", "udhcpc"]
        .into_iter()
        .find(|program| {
            !["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
                .iter()
                .any(|dir| fs::exists(format!("{dir}/{program}")).unwrap())
        })
}

/// One client run: what udhcpc's script was told.
fn udhcpc(client: &Namespace, dir: &Path, arguments: &[&str]) -> (bool, String) {
    let script = dir.join("script");
    let told = dir.join("told");
    fs::write(
        &script,
        format!("#!/bin/sh\n{{ echo event=$1; env; }} >> {}\n", told.display()),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let _ = fs::remove_file(&told);
    let output = client
        .command("udhcpc")
        .args(["-i", "client", "-f", "-q", "-n", "-t", "20", "-T", "3", "-s"])
        .arg(&script)
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.success(),
        fs::read_to_string(&told).unwrap_or_default(),
    )
}

/// The interface `server` in this thread's namespace, with `client` at its other end.
fn connected() -> Namespace {
    ip("link set lo up");
    ip("link add server type veth peer name client");
    ip(&format!("address add {SERVER}/24 dev server"));
    let client = Namespace::new();
    ip(&format!("link set client netns {}", client.0.id()));
    client.run(&format!("ip link set client address {MAC}"));
    client.run("ip link set client up");
    ip("link set server up");
    wait("the server's link-local address", || {
        let text = Command::new("ip")
            .args(["-6", "address", "show", "dev", "server"])
            .output()
            .unwrap()
            .stdout;
        let text = String::from_utf8(text).unwrap();
        text.contains("fe80") && !text.contains("tentative")
    });
    client
}

struct Service {
    records: Records,
    events: mpsc::Receiver<Event>,
    _stop: DropGuard,
}

async fn serve(dir: &Path) -> Service {
    let records = Records::open(dir.join("records.db")).await.unwrap();
    let handle = ViewHandle::new();
    handle.store(view(interface(), Some(SessionPhase::Armed)));
    let (sender, events) = EventSender::channel(1000);
    let deps = Deps {
        view: handle,
        records: records.clone(),
        events: sender,
    };
    let cancel = CancellationToken::new();
    let server = Server::bind(Config {
        interface: "server".into(),
        site: site(),
    })
    .unwrap();
    tokio::spawn(server.run(deps, cancel.clone()));
    Service {
        records,
        events,
        _stop: cancel.drop_guard(),
    }
}

/// What the clients do and expect.
fn clients(client: &Namespace, path: &Path) {
    let (ok, told) = udhcpc(client, path, &[]);
    assert!(ok, "{told}");
    for expected in [
        "event=bound",
        &format!("ip={CLIENT}"),
        "subnet=255.255.255.0",
        "router=10.0.0.254",
        "dns=10.0.0.2",
        "lease=86400",
        "hostname=node-1",
    ] {
        assert!(told.lines().any(|line| line == expected), "{expected}: {told}");
    }
    // A client that asks for broadcast gets it too; one that wants another address gets its own.
    for arguments in [&["-B"][..], &["-r", "10.0.0.99"]] {
        let (ok, told) = udhcpc(client, path, arguments);
        assert!(
            ok && told.contains(&format!("ip={CLIENT}")),
            "{arguments:?}: {told}"
        );
    }
    // A stranger is not answered.
    client.run("ip link set client down");
    client.run("ip link set client address 02:00:00:00:00:09");
    client.run("ip link set client up");
    let (ok, told) = udhcpc(client, path, &["-t", "1"]);
    assert!(!ok && !told.contains("event=bound"), "{told}");
}

#[test]
fn a_real_client_gets_its_reservation() {
    if let Some(missing) = missing() {
        println!("skipped: needs {missing}");
        return;
    }
    // The namespace belongs to this thread; everything below runs in it or is its child.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    // The interface comes later than the advertiser, as on a host that boots.
    let stop = CancellationToken::new();
    let advertiser = RouterAdvertiser::new("server").run(stop.clone());
    runtime.block_on(async {
        let advertiser = tokio::spawn(advertiser);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!advertiser.is_finished(), "it gave up");
    });
    let _stop = stop.drop_guard();
    let client = &connected();
    let mut service = runtime.block_on(serve(dir.path()));
    beside(&runtime, || clients(client, dir.path()));

    // One record covers the lease and what renews it.
    let leases = runtime.block_on(service.records.list(&Query::default())).unwrap();
    let [lease] = leases.as_slice() else {
        panic!("{leases:?}")
    };
    assert_eq!(lease.machine, "node-1");
    assert_eq!(lease.payload["kind"], "Lease");
    let text = lease.payload["text"].as_str().unwrap();
    assert!(text.contains("ACK 10.0.0.5, recorded until "), "{text}");
    let mut texts = Vec::new();
    while let Ok(event) = service.events.try_recv() {
        texts.push(format!("{}: {}", event.machine, event.event.text));
    }
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("02:00:00:00:00:09: DISCOVER")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("node-1: REQUEST") && text.ends_with("ACK 10.0.0.5")),
        "what no lease record tells is an event: {texts:?}"
    );
    runtime.block_on(solicit(client));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs the service until the work of another thread has ended.
fn beside(runtime: &tokio::runtime::Runtime, work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        runtime.block_on(async {
            let served = async {
                while !work.is_finished() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(300), served)
                .await
                .expect("the clients do not end");
        });
        work.join().unwrap();
    });
}

/// Sends DISCOVERs of made-up MACs until it is stopped, with a REQUEST of the known one after each ten: each of those is
/// answered, and a client takes in only so many answers that are not for it. Returns how many DISCOVERs.
fn flood(client: &Namespace, stop: &AtomicBool) -> u32 {
    let namespace = fs::File::open(format!("/proc/{}/ns/net", client.0.id())).unwrap();
    nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let kind = socket2::Type::DGRAM;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.bind_device(Some(b"client")).unwrap();
    let server = std::net::SocketAddrV4::new(std::net::Ipv4Addr::BROADCAST, 67).into();
    let mut sent = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let [a, b, c, d] = sent.to_be_bytes();
        let stranger = Packet::new(1).at(28, &[2, 0, a, b, c, d]);
        let known = Packet::new(3).at(4, &[a, b, c, d]).option(50, &CLIENT.octets());
        // A full queue is a lost packet.
        let _ = socket.send_to(&stranger.bytes(), &server);
        if sent.is_multiple_of(10) {
            let _ = socket.send_to(&known.bytes(), &server);
        }
        sent += 1;
        if sent.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    sent
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_neither_delays_a_real_client_nor_fills_the_records() {
    if let Some(missing) = missing() {
        println!("skipped: needs {missing}");
        return;
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let client = &connected();
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let mut service = runtime.block_on(serve(dir.path()));
    let mut sent = 0;
    beside(&runtime, || {
        let time = || {
            let start = Instant::now();
            let (ok, told) = udhcpc(client, dir.path(), &[]);
            assert!(ok && told.contains(&format!("ip={CLIENT}")), "{told}");
            start.elapsed()
        };
        let usual = time();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood(client, &stop));
            // Also when a client fails.
            let ended = Stop(&stop);
            let during = [time(), time(), time()];
            drop(ended);
            sent = flood.join().unwrap();
            // A lost packet costs the client a repetition after some seconds; a starved client gets nothing at all.
            let limit = (usual * 3).max(Duration::from_secs(50));
            assert!(
                during.iter().all(|time| *time < limit),
                "{usual:?}, then {during:?}"
            );
        });
    });
    assert!(sent > 200, "{sent} packets are no flood");
    let leases = runtime.block_on(service.records.list(&Query::default())).unwrap();
    assert_eq!(leases.len(), 1, "{sent} requests of one client");
    let mut events = 0;
    let mut real = 0;
    while let Ok(event) = service.events.try_recv() {
        events += 1;
        real += u32::from(event.machine == "node-1");
    }
    // Bursts of 100 and 10, then ten and five a second.
    assert!(
        real > 0 && events < 1000,
        "{events} events of {sent} packets of each kind, {real} of the machine"
    );
}

/// Sends a router solicitation from the client's namespace and reads the answer.
async fn solicit(client: &Namespace) {
    let path = format!("/proc/{}/ns/net", client.0.id());
    let asking = tokio::task::spawn_blocking(move || {
        let namespace = fs::File::open(path).unwrap();
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let index = nix::net::if_::if_nametoindex("client").unwrap();
        let kind = socket2::Type::RAW;
        let mut socket =
            socket2::Socket::new(socket2::Domain::IPV6, kind, Some(socket2::Protocol::ICMPV6)).unwrap();
        socket.set_multicast_hops_v6(255).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let routers = std::net::SocketAddrV6::new("ff02::2".parse().unwrap(), 0, 0, index);
        let mut buffer = [0; 1500];
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            // Until duplicate address detection is done the client has no address to send from.
            if socket
                .send_to(&[133, 0, 0, 0, 0, 0, 0, 0], &routers.into())
                .is_err()
            {
                std::thread::yield_now();
                continue;
            }
            while let Ok(length) = socket.read(&mut buffer) {
                if buffer[0] == 134 {
                    return buffer[..length].to_vec();
                }
            }
        }
        panic!("no router advertisement");
    });
    let advertisement = asking.await.unwrap();
    assert_eq!(advertisement.len(), 24);
    assert_eq!(advertisement[5..8], [0, 0, 0], "no flags, router lifetime 0");
}
