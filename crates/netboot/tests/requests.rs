//! The boot routes over real connections on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use boot_script::{
    BootTarget, BootView, Event, EventSender, MachineFacts, Origin, Session, SiteSettings, ViewHandle,
};
use listeners::{Gate, Shares};
use netboot::{Config, Deps, SHARES, record_events, router, run_http};
use resources::gantry::SessionPhase;
use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip, Netboot};
use store::records::{Keep, Query, Records};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n";

struct Running {
    address: SocketAddr,
    view: Arc<ViewHandle>,
    events: mpsc::Receiver<Event>,
    sightings: EventSender,
    dir: tempfile::TempDir,
    _stop: DropGuard,
}

fn target(phase: Option<SessionPhase>) -> Vec<Arc<BootTarget>> {
    let dhcp = Dhcp {
        mac: Some("52:54:00:00:00:01".parse().unwrap()),
        ip: Some(Ip {
            address: Some("127.0.0.1".into()),
            ..Ip::default()
        }),
        ..Dhcp::default()
    };
    let netboot = Some(Netboot {
        allow_pxe: Some(true),
        ..Netboot::default()
    });
    let interface = HardwareInterface {
        dhcp: Some(dhcp),
        netboot,
        ..HardwareInterface::default()
    };
    let hardware = HardwareSpec {
        interfaces: vec![interface],
        ..HardwareSpec::default()
    };
    let mut facts = MachineFacts::new("eksa-system", "node-1", hardware, None);
    facts.attempt = phase.map(|_| 1);
    facts.session = phase.map(|phase| Session {
        attempt: 1,
        boot: 1,
        boot_id: "b".repeat(32),
        superseded: Vec::new(),
        phase,
        deadline: "9999-01-01T00:00:00Z".parse().unwrap(),
    });
    BootTarget::all_of(facts)
}

async fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("boot")).unwrap();
    std::fs::create_dir_all(dir.path().join("images")).unwrap();
    std::fs::write(dir.path().join("secret"), "canary").unwrap();
    std::fs::write(dir.path().join("boot/vmlinuz"), "linux").unwrap();
    std::fs::write(dir.path().join("boot/initramfs"), "installer").unwrap();
    std::fs::write(dir.path().join("boot/snponly.efi"), "ipxe").unwrap();
    std::fs::write(dir.path().join("boot/empty"), "").unwrap();
    std::fs::create_dir(dir.path().join("boot/folder")).unwrap();
    std::fs::write(dir.path().join("images").join(DIGEST), "0123456789").unwrap();
    std::fs::write(
        dir.path().join("images").join(format!("{DIGEST}.manifest.json")),
        "{}",
    )
    .unwrap();
    let config = Config {
        site: SiteSettings::new("rack-1", [10, 0, 0, 1].into()),
        boot_dir: dir.path().join("boot"),
        images_dir: dir.path().join("images"),
        site_ca: PEM.into(),
    };
    let view = ViewHandle::new();
    view.store(BootView::new(target(Some(SessionPhase::Armed))));
    let (sender, events) = EventSender::channel(100);
    let router = router(
        config,
        Deps {
            view: view.clone(),
            events: sender.clone(),
        },
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let shares = Shares {
        quiet: Duration::from_secs(600),
        ..SHARES
    };
    let gate = Gate::new("test", shares, |_| true, |_| {});
    tokio::spawn(run_http(listener, gate, router, cancel.clone()));
    Running {
        address,
        view,
        events,
        sightings: sender,
        dir,
        _stop: cancel.drop_guard(),
    }
}

/// Status line with head in lower case, and body.
async fn fetch(running: &Running, request: &str) -> (String, Vec<u8>) {
    fetch_from("127.0.0.1", running, request).await
}

async fn fetch_from(source: &str, running: &Running, request: &str) -> (String, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    let request = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    (
        String::from_utf8_lossy(&answer[..end]).to_lowercase(),
        answer[end + 4..].to_vec(),
    )
}

async fn get(running: &Running, path: &str, headers: &str) -> (String, Vec<u8>) {
    fetch(running, &format!("GET {path} HTTP/1.1{headers}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_follow_the_view() {
    let mut running = start().await;
    for path in [
        "/ipxe/script/52:54:00:00:00:01/auto.ipxe",
        "/ipxe/script/52-54-00-00-00-01/auto.ipxe",
        "/ipxe/script/auto.ipxe",
    ] {
        let (head, body) = get(&running, path, "").await;
        let body = String::from_utf8(body).unwrap();
        assert!(
            head.starts_with("http/1.1 200") && head.contains("cache-control: no-store"),
            "{path}: {head}"
        );
        assert!(
            body.starts_with("#!ipxe\n") && body.contains(&"b".repeat(32)),
            "{path}: {body}"
        );
        assert!(body.contains("BOOTIF=01-52-54-00-00-00-01"), "{path}: {body}");
        let event = running.events.recv().await.unwrap();
        assert_eq!(
            (event.machine.as_str(), event.event.text.as_str()),
            ("node-1", "script: installer, attempt 1, boot 1")
        );
    }
    running
        .view
        .store(BootView::new(target(Some(SessionPhase::Disarmed))));
    let (_, body) = get(&running, "/ipxe/script/auto.ipxe", "").await;
    assert!(String::from_utf8(body).unwrap().contains("sanboot"));
    running.view.store(BootView::new([]));
    let (head, _) = get(&running, "/ipxe/script/52:54:00:00:00:01/auto.ipxe", "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let (head, _) = get(&running, "/ipxe/script/x/auto.ipxe", "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

/// Whoever knows a MAC address gets what an unarmed machine gets; the record is the machine's, but it was not heard.
#[tokio::test(flavor = "multi_thread")]
async fn the_boot_id_goes_to_the_machine_alone() {
    let mut running = start().await;
    let path = "GET /ipxe/script/52:54:00:00:00:01/auto.ipxe HTTP/1.1";
    for headers in [
        "",
        "\r\nX-Forwarded-For: 127.0.0.1",
        "\r\nForwarded: for=127.0.0.1",
    ] {
        let (head, body) = fetch_from("127.0.0.2", &running, &format!("{path}{headers}")).await;
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(body.contains("sanboot") && !body.contains("bbbb"), "{body}");
        let event = running.events.recv().await.unwrap();
        assert_eq!(event.machine, "node-1");
        assert_eq!(event.event.peer.as_deref(), Some("127.0.0.2"));
        assert!(
            event.event.text.contains("not this machine's"),
            "{}",
            event.event.text
        );
    }
    assert_eq!(running.sightings.sightings().last("eksa-system", "node-1"), None);
    fetch(&running, path).await;
    assert!(
        running
            .sightings
            .sightings()
            .last("eksa-system", "node-1")
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installer_counts_as_fetched_by_the_machine_alone() {
    let running = start().await;
    let fetched = || {
        running
            .sightings
            .sightings()
            .installer_fetched("eksa-system", "node-1")
    };
    for source in ["127.0.0.2", "127.0.0.1"] {
        for file in ["vmlinuz", "initramfs"] {
            assert_eq!(fetched(), None);
            fetch_from(source, &running, &format!("GET /boot/{file} HTTP/1.1")).await;
        }
    }
    assert!(fetched().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_ranges() {
    let running = start().await;
    let image = format!("/images/{DIGEST}");
    let (head, body) = get(&running, &image, "").await;
    assert!(
        head.contains(&format!("etag: \"{DIGEST}\"")) && head.contains("content-length: 10"),
        "{head}"
    );
    assert_eq!(body, b"0123456789");
    for (range, status, expected) in [
        ("bytes=2-4", "206", &b"234"[..]),
        ("bytes=7-", "206", b"789"),
        ("bytes=-2", "206", b"89"),
        ("bytes=20-30", "416", b""),
    ] {
        let (head, body) = get(&running, &image, &format!("\r\nRange: {range}")).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{range}: {head}");
        assert_eq!(body, expected, "{range}");
    }
    let (head, body) = get(&running, &image, "\r\nRange: bytes=2-4\r\nIf-Range: \"other\"").await;
    assert!(head.starts_with("http/1.1 200") && body.len() == 10, "{head}");
    let (head, _) = get(&running, &image, &format!("\r\nIf-None-Match: \"{DIGEST}\"")).await;
    assert!(head.starts_with("http/1.1 304"), "{head}");
    let (head, body) = fetch(&running, &format!("HEAD {image} HTTP/1.1")).await;
    assert!(head.contains("content-length: 10") && body.is_empty(), "{head}");
    assert_eq!(
        get(&running, &format!("{image}/manifest.json"), "").await.1,
        b"{}"
    );
    assert_eq!(get(&running, "/boot/vmlinuz", "").await.1, b"linux");
    let (head, body) = get(&running, "/ipxe/binary/52:54:00:00:00:01/snponly.efi", "").await;
    assert!(head.contains("application/efi") && body == b"ipxe", "{head}");
    let (_, archive) = get(&running, "/boot/site-ca.cpio", "").await;
    assert!(archive.starts_with(b"070701") && String::from_utf8_lossy(&archive).contains(PEM));
}

/// The value of a header in a head of lower case.
fn value<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name}: {head}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_conditions() {
    let running = start().await;
    let path = "/boot/initramfs";
    let (head, _) = get(&running, path, "").await;
    let tag = value(&head, "etag");
    assert!(value(&head, "last-modified").ends_with(" gmt"), "{head}");
    for (headers, status, expected) in [
        (format!("If-None-Match: {tag}"), "304", &b""[..]),
        ("If-None-Match: \"other\"".to_owned(), "200", b"installer"),
        (
            "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT".to_owned(),
            "304",
            b"",
        ),
        (
            "If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT".to_owned(),
            "200",
            b"installer",
        ),
        (
            "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT".to_owned(),
            "412",
            b"",
        ),
        ("If-Match: \"other\"".to_owned(), "412", b""),
        (
            "Range: bytes=0-1,4-5".to_owned(),
            "416",
            b"Cannot serve multipart range requests",
        ),
        ("Range: bytes=0-8".to_owned(), "206", b"installer"),
        ("Range: bytes=8-100".to_owned(), "206", b"r"),
        ("Range: lines=1-2".to_owned(), "416", b""),
    ] {
        let (head, body) = get(&running, path, &format!("\r\n{headers}")).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{headers}: {head}"
        );
        assert_eq!(body, expected, "{headers}");
    }
    let (head, body) = get(&running, path, "\r\nRange: bytes=2-4").await;
    assert_eq!(
        (value(&head, "content-range"), body.as_slice()),
        ("bytes 2-4/9", &b"sta"[..])
    );
    let (head, body) = fetch(&running, &format!("HEAD {path} HTTP/1.1\r\nRange: bytes=2-4")).await;
    assert!(head.starts_with("http/1.1 206") && body.is_empty(), "{head}");
    assert_eq!(value(&head, "content-length"), "3");
    assert_eq!(value(&head, "accept-ranges"), "bytes");
    assert_eq!(get(&running, "/boot/empty", "").await.1, b"");
    for path in ["/boot/folder", "/boot/initramfs/x"] {
        let (head, _) = get(&running, path, "").await;
        assert!(!head.starts_with("http/1.1 2"), "{path}: {head}");
    }
}

/// Larger than what the kernel holds, and read with the pauses of a machine that unpacks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_over_one_connection() {
    let running = start().await;
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(running.dir.path().join("boot/large"), &content).unwrap();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for (first, last) in [(0, content.len() - 1), (12_345_678, 19_999_998), (7, 7)] {
        let request = format!("GET /boot/large HTTP/1.1\r\nHost: x\r\nRange: bytes={first}-{last}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut body = vec![0; last - first + 1];
        for part in body.chunks_mut(3 << 20) {
            stream.read_exact(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(body == content[first..=last], "{first} to {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out() {
    let running = start().await;
    for path in [
        "/boot/../secret",
        "/boot/%2e%2e%2fsecret",
        "/boot/..%2fsecret",
        "/images/../../secret",
        "/images/..%2f..%2fsecret/manifest.json",
        "/ipxe/binary/x/..%2f..%2fsecret",
        "/boot/.hidden",
        "/boot/missing",
    ] {
        let (head, body) = get(&running, path, "").await;
        assert!(
            head.starts_with("http/1.1 404") && !body.windows(6).any(|w| w == b"canary"),
            "{path}: {head}"
        );
    }
}

/// Firmware follows no redirect, and people write MAC addresses in many ways.
#[tokio::test(flavor = "multi_thread")]
async fn spellings_of_a_path() {
    let running = start().await;
    for path in [
        "//ipxe/binary/52:54:00:00:00:01/snponly.efi",
        "/ipxe//binary///52:54:00:00:00:01/snponly.efi",
        "/ipxe/binary/52-54-00-00-00-01/snponly.efi",
        "/ipxe/binary/52%3A54%3A00%3A00%3A00%3A01/snponly.efi",
    ] {
        let (head, body) = get(&running, path, "").await;
        assert!(
            head.starts_with("http/1.1 200") && head.contains("application/efi") && body == b"ipxe",
            "{path}: {head}"
        );
    }
    let (head, body) = fetch(&running, "HEAD //ipxe/binary/x/snponly.efi HTTP/1.1").await;
    assert!(head.contains("content-length: 4") && body.is_empty(), "{head}");
    for path in [
        "//ipxe/script/52:54:00:00:00:01/auto.ipxe",
        "//ipxe/script/52%3a54%3A00:00:00:01/auto.ipxe",
        "/ipxe/script/auto.ipxe?x=1//2",
    ] {
        let (head, body) = get(&running, path, "").await;
        assert!(
            head.starts_with("http/1.1 200") && body.starts_with(b"#!ipxe\n"),
            "{path}: {head}"
        );
    }
    for path in ["//", "//boot//..//secret", "//boot/%2f%2fsecret", "/nothing"] {
        assert!(
            get(&running, path, "").await.0.starts_with("http/1.1 404"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_connection() {
    let running = start().await;
    let headers: String = (0..70).map(|number| format!("\r\nX-{number}: y")).collect();
    let (head, _) = get(&running, "/boot/vmlinuz", &headers).await;
    assert!(head.starts_with("http/1.1 431"), "{head}");
    // Sixteen connections of one address are served; the next is closed at once.
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream
            .write_all(b"GET /boot/vmlinuz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        open.push(stream);
    }
    let mut refused = TcpStream::connect(running.address).await.unwrap();
    let mut rest = Vec::new();
    let _ = refused
        .write_all(b"GET /boot/vmlinuz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let _ = refused.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_become_records() {
    let mut running = start().await;
    get(&running, "/boot/vmlinuz", "").await;
    let event = running.events.recv().await.unwrap();
    let stranger = Event {
        origin: Origin::Stranger,
        machine: "02:00:00:00:00:09".into(),
        ..event.clone()
    };
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep {
        strangers: 2,
        ..Keep::default()
    };
    let records = Records::open_with(dir.path().join("records.db"), keep)
        .await
        .unwrap();
    let (sender, receiver) = mpsc::channel(10);
    sender.send(event).await.unwrap();
    for _ in 0..5 {
        sender.send(stranger.clone()).await.unwrap();
    }
    drop(sender);
    record_events(receiver, records.clone(), CancellationToken::new()).await;
    let found = records.list(&Query::default()).await.unwrap();
    assert_eq!(found.len(), 3, "strangers have a small ring: {found:?}");
    assert_eq!(
        (found[2].machine.as_str(), found[2].kind.as_str()),
        ("node-1", "BootEvent")
    );
    assert_eq!(found[2].payload["text"], "boot file vmlinuz");
}
