//! The server against real clients (curl, atftp) and one made of packets, on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use boot_script::{Event, EventSender, ViewHandle};
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
    let deps = Deps {
        view: ViewHandle::new(),
        events: sender,
    };
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
        assert!(event.event.text.contains(&format!("{size} octets")), "{event:?}");
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
        if texts.iter().any(|text| text.contains("4404 octets")) {
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
