//! The server against real clients (curl, atftp) and one made of packets, on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

use boot_script::{BootTarget, BootView, Event, EventSender, MachineFacts, ViewHandle};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip};
use tftp::{Config, Deps, Files, Server};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

struct Running {
    address: SocketAddr,
    events: mpsc::Receiver<Event>,
    _stop: DropGuard,
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

/// The address that Hardware reserves for the one machine of the site. All of 127.0.0.0/8 is this host.
const MACHINE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

fn machine() -> Vec<std::sync::Arc<BootTarget>> {
    let dhcp = Dhcp {
        mac: Some("52:54:00:00:00:01".parse().unwrap()),
        ip: Some(Ip {
            address: Some(MACHINE.to_string()),
            ..Ip::default()
        }),
        ..Dhcp::default()
    };
    let hardware = HardwareSpec {
        interfaces: vec![HardwareInterface {
            dhcp: Some(dhcp),
            ..HardwareInterface::default()
        }],
        ..HardwareSpec::default()
    };
    BootTarget::all_of(MachineFacts::new("eksa-system", "node-1", hardware, None))
}

async fn start() -> Running {
    let mut files = Files::default();
    files.insert("snponly.efi", content(284_672));
    files.insert("exact", content(1468 * 3));
    let server = Server::bind(Config {
        address: ([127, 0, 0, 1], 0).into(),
        files,
    })
    .await
    .unwrap();
    let address = server.local_address().unwrap();
    let (sender, events) = EventSender::channel(100);
    let cancel = CancellationToken::new();
    let view = ViewHandle::new();
    view.store(BootView::new(machine()));
    let deps = Deps { view, events: sender };
    tokio::spawn(server.run(deps, cancel.clone()));
    Running {
        address,
        events,
        _stop: cancel.drop_guard(),
    }
}

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_fetches() {
    if !installed("curl") {
        return;
    }
    let mut running = start().await;
    for (name, size, options) in [
        ("snponly.efi", 284_672, &["--tftp-blksize", "1468"][..]),
        ("52:54:00:00:00:01/snponly.efi", 284_672, &["--tftp-no-options"]),
        ("exact", 1468 * 3, &["--tftp-blksize", "1468"]),
    ] {
        let url = format!("tftp://{}/{name}", running.address);
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let fetch = move || {
            Command::new("curl")
                .args(["-sS", "--max-time", "20"])
                .args(options)
                .arg(url)
                .output()
        };
        let output = tokio::task::spawn_blocking(fetch).await.unwrap().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(output.stdout == content(size), "{name}");
        let event = running.events.recv().await.unwrap();
        assert!(event.event.text.contains(&format!("{size} bytes")), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn atftp_fetches_with_windows() {
    if !installed("atftp") {
        return;
    }
    let running = start().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("got");
    for window in ["1", "4", "16", "64"] {
        let mut command = Command::new("atftp");
        command.args([
            "--option",
            "blksize 1468",
            "--option",
            &format!("windowsize {window}"),
            "--get",
        ]);
        command
            .args(["--remote-file", "snponly.efi", "--local-file"])
            .arg(&target);
        command.args(["127.0.0.1", &running.address.port().to_string()]);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        assert!(output.status.success(), "{window}: {output:?}");
        assert!(std::fs::read(&target).unwrap() == content(284_672), "{window}");
    }
}

/// What PXE firmware does: asks for the size, gives up, asks again from the same port.
#[tokio::test(flavor = "multi_thread")]
async fn size_probe_then_transfer_from_one_port() {
    let mut running = start().await;
    let address = running.address;
    let client = move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 2048];
        socket
            .send_to(b"\0\x01exact\0octet\0tsize\x000\0blksize\x001468\0", address)
            .unwrap();
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"\0\x06blksize\x001468\0tsize\x004404\0");
        assert_eq!(from.ip(), address.ip());
        assert_ne!(from.port(), address.port());
        socket.send_to(b"\0\x05\0\0TFTP Aborted\0", from).unwrap();
        socket
            .send_to(b"\0\x01exact\0octet\0blksize\x001468\0", address)
            .unwrap();
        let mut got = Vec::new();
        loop {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            match buffer[1] {
                6 => {
                    socket.send_to(b"\0\x04\0\0", from).unwrap();
                }
                3 => {
                    got.extend_from_slice(&buffer[4..length]);
                    let ack = [0, 4, buffer[2], buffer[3]];
                    socket.send_to(&ack, from).unwrap();
                    if length < 1472 {
                        return got;
                    }
                }
                other => panic!("opcode {other}"),
            }
        }
    };
    let got = tokio::task::spawn_blocking(client).await.unwrap();
    assert!(got == content(1468 * 3));
    // One event at least for the complete transfer.
    let mut texts = Vec::new();
    while let Some(event) = running.events.recv().await {
        texts.push(event.event.text);
        if texts.iter().any(|text| text.contains("4404 bytes")) {
            return;
        }
    }
    panic!("{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let running = start().await;
    let address = running.address;
    let ask = move |packet: &'static [u8]| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 2048];
        socket.send_to(packet, address).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    let refusals = tokio::task::spawn_blocking(move || {
        [
            ask(b"\0\x01../../etc/passwd\0octet\0"),
            ask(b"\0\x02exact\0octet\0"),
            ask(b"\0\x01exact\0netascii\0"),
        ]
    });
    let [missing, write, mode] = refusals.await.unwrap();
    assert_eq!(missing[..4], [0, 5, 0, 1]);
    assert_eq!(write[..4], [0, 5, 0, 2]);
    assert_eq!(mode[..4], [0, 5, 0, 4]);
}

/// Asks for a file with the block size of an Ethernet frame and reads it.
fn transfer(socket: &UdpSocket, server: SocketAddr, name: &str) -> Vec<u8> {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("\0\u{1}{name}\0octet\0blksize\01468\0");
    socket.send_to(request.as_bytes(), server).unwrap();
    let mut buffer = [0; 2048];
    let (mut got, mut expected) = (Vec::new(), 1_u16);
    loop {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let block = match buffer[1] {
            6 => 0,
            3 if buffer[2..4] == expected.to_be_bytes() => {
                got.extend_from_slice(&buffer[4..length]);
                expected = expected.wrapping_add(1);
                expected.wrapping_sub(1)
            }
            3 => continue,
            other => panic!(
                "{name}: opcode {other}: {}",
                String::from_utf8_lossy(&buffer[4..length])
            ),
        };
        socket
            .send_to(&[&[0, 4][..], &block.to_be_bytes()].concat(), from)
            .unwrap();
        if buffer[1] == 3 && length < 1472 {
            return got;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spellings_of_a_name() {
    let running = start().await;
    let address = running.address;
    let fetch = move || {
        for name in [
            "exact",
            "//exact",
            "52:54:00:AA:00:01//exact",
            "\\boot\\exact",
            "EXACT",
        ] {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            assert!(transfer(&socket, address, name) == content(1468 * 3), "{name}");
        }
        // DHCP servers that do not end option 67 leave this after the name.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = [0; 2048];
        socket.send_to(b"\0\x01exact\xff\0octet\0", address).unwrap();
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!((length, answer[1]), (516, 3));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
            .send_to(b"\0\x0152:54:00:aa:00:01/autoexec.ipxe\0octet\0", address)
            .unwrap();
        socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..4], [0, 5, 0, 1], "not found, at once");
    };
    tokio::task::spawn_blocking(fetch).await.unwrap();
}

/// Machines behind a router that translates addresses all have one address.
#[tokio::test(flavor = "multi_thread")]
async fn many_machines_behind_one_address() {
    let running = start().await;
    let address = running.address;
    let clients = (0..40).map(|_| {
        tokio::task::spawn_blocking(move || {
            let socket = UdpSocket::bind("127.0.0.9:0").unwrap();
            transfer(&socket, address, "exact")
        })
    });
    for client in clients.collect::<Vec<_>>() {
        assert!(client.await.unwrap() == content(1468 * 3));
    }
}

/// Requests from made-up addresses, as many as there are places and more, none of which is ever answered.
#[tokio::test(flavor = "multi_thread")]
async fn made_up_requests_do_not_keep_a_machine_out() {
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut running = start().await;
    let address = running.address;
    let SocketAddr::V4(server) = address else { panic!() };
    let flood = move || {
        // Bound, so that answers to the made-up addresses are not refused by this host.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let request = b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0";
        for number in 0..1100_u16 {
            let [high, low] = number.to_be_bytes();
            let source = nix::libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: nix::libc::in_addr {
                    s_addr: u32::from_ne_bytes([127, 1, high, low]),
                },
                ipi_addr: nix::libc::in_addr { s_addr: 0 },
            };
            let control = [ControlMessage::Ipv4PacketInfo(&source)];
            let to = SockaddrIn::from(SocketAddrV4::new(*server.ip(), server.port()));
            sendmsg(
                socket.as_raw_fd(),
                &[IoSlice::new(request)],
                &control,
                MsgFlags::empty(),
                Some(&to),
            )
            .unwrap();
            if number % 50 == 49 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let machine = UdpSocket::bind((MACHINE, 0)).unwrap();
        let start = Instant::now();
        let got = transfer(&machine, address, "snponly.efi");
        assert!(got == content(284_672));
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(5), "the machine waited {waited:?}");
        // The machine's own address may be made up as well.
        for _ in 0..100 {
            let silent = UdpSocket::bind((MACHINE, 0)).unwrap();
            silent.send_to(request, address).unwrap();
            std::mem::forget(silent);
        }
        assert!(transfer(&machine, address, "exact") == content(1468 * 3));
    };
    tokio::task::spawn_blocking(flood).await.unwrap();
    let mut of_machine = Vec::new();
    while of_machine.len() < 2 {
        let event = running.events.recv().await.unwrap();
        if event.machine == "node-1" {
            of_machine.push(event.event.text);
        }
    }
    assert!(of_machine[0].contains("284672 bytes"), "{of_machine:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_is_recorded_without_escapes() {
    let mut running = start().await;
    let address = running.address;
    let client = move || {
        let socket = UdpSocket::bind((MACHINE, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut buffer = [0; 2048];
        socket
            .send_to(b"\0\x01exact\0octet\0tsize\x000\0", address)
            .unwrap();
        let (_, from) = socket.recv_from(&mut buffer).unwrap();
        socket
            .send_to(b"\0\x05\0\0\x1b[2J\x1b[31mPWNED\x1b]0;title\x07\0", from)
            .unwrap();
        socket.send_to(b"\0\x01\x1b[2Jname\0octet\0", address).unwrap();
    };
    tokio::task::spawn_blocking(client).await.unwrap();
    for _ in 0..2 {
        let event = running.events.recv().await.unwrap();
        let text = event.event.text;
        assert!(text.contains("PWNED") || text.contains("name"), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
