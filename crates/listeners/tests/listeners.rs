//! The accept loops on loopback with tiny limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

#[path = "listeners/files.rs"]
mod files;
#[path = "listeners/http.rs"]
mod http_listener;
#[path = "listeners/tls.rs"]
mod tls_listener;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use listeners::{Gate, Limits, Notice, Peer, RequestBody, Shares};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

const MILLISECOND: Duration = Duration::from_millis(1);
/// For what has to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Address of a known peer.
const KNOWN: [u8; 4] = [127, 0, 0, 99];
/// Bytes of `/large`: more than the kernel holds on both sides.
const LARGE: usize = 24 << 20;

/// Limits that never apply; a test tightens the one it is about.
const LIMITS: Limits = Limits {
    first_request: PATIENCE,
    idle: PATIENCE,
    stall: PATIENCE,
    stall_known: PATIENCE,
    body: PATIENCE,
    lifetime: Duration::from_secs(3600),
    ping: PATIENCE,
    streams: 8,
    head: 16 << 10,
};

const SHARES: Shares = Shares {
    total: 12,
    strangers: 6,
    per_stranger: 2,
    per_known: 3,
    quiet: Duration::from_millis(300),
};

struct Running {
    address: SocketAddr,
    gate: Gate,
    notices: Arc<Mutex<Vec<Notice>>>,
    _stop: DropGuard,
}

fn gate(shares: Shares) -> (Gate, Arc<Mutex<Vec<Notice>>>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = notices.clone();
    let gate = Gate::new(
        "test",
        shares,
        |address| address == IpAddr::from(KNOWN),
        move |notice| heard.lock().unwrap().push(notice),
    );
    (gate, notices)
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// `/wait` never answers, `/large` gives 24 MiB, `/body` the length of the request's body.
async fn answer(request: Request<RequestBody>) -> Result<Answer, Infallible> {
    let full = |bytes: Bytes| Response::new(Full::new(bytes).boxed_unsync());
    match request.uri().path() {
        "/wait" => std::future::pending().await,
        "/large" => Ok(full(vec![7; LARGE].into())),
        "/body" => match request.into_body().collect().await {
            Ok(body) => Ok(full(body.to_bytes().len().to_string().into())),
            Err(error) => {
                let mut response = full(error.to_string().into());
                *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                Ok(response)
            }
        },
        _ => Ok(full(Bytes::from_static(b"here"))),
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn start(limits: Limits) -> Running {
    let (listener, address) = listen().await;
    let (gate, notices) = gate(SHARES);
    let cancel = CancellationToken::new();
    let service = |_: Peer<'_>| Some(hyper::service::service_fn(answer));
    tokio::spawn(listeners::run_http(
        listener,
        gate.clone(),
        limits,
        service,
        cancel.clone(),
    ));
    Running {
        address,
        gate,
        notices,
        _stop: cancel.drop_guard(),
    }
}

/// A connection from one of loopback's addresses.
async fn from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// What comes until the end of the stream.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection stays open");
    bytes
}

/// Whether nothing ends the stream for a while.
async fn stays(stream: &mut (impl AsyncRead + Unpin), time: Duration) -> bool {
    let mut byte = [0];
    tokio::time::timeout(time, stream.read(&mut byte)).await.is_err()
}

/// Asks over an open connection and gives the status.
async fn ask(stream: &mut TcpStream, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut head))
        .await
        .ok()?
        .ok()?;
    std::str::from_utf8(head.get(9..)?).ok()?.parse().ok()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(10 * MILLISECOND).await;
    }
    panic!("not within 20 s: {what}");
}
