//! TLS, with HTTP/1.1 and HTTP/2.

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

struct Secure {
    running: Running,
    certificate: CertificateDer<'static>,
}

async fn start_tls(limits: Limits) -> Secure {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let certificate = certificate.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (listener, address) = listen().await;
    let (gate, notices) = gate(SHARES);
    let cancel = CancellationToken::new();
    // As after a login: from then on the peer is known.
    let service = |peer: Peer<'_>| {
        let voucher = peer.voucher;
        Some(hyper::service::service_fn(
            move |request: Request<RequestBody>| {
                if request.uri().path() == "/login" {
                    voucher.vouch();
                }
                answer(request)
            },
        ))
    };
    tokio::spawn(listeners::run_tls(
        listener,
        Arc::new(config),
        gate.clone(),
        limits,
        service,
        cancel.clone(),
    ));
    Secure {
        running: Running {
            address,
            gate,
            notices,
            _stop: cancel.drop_guard(),
        },
        certificate,
    }
}

impl Secure {
    async fn connect(&self, source: [u8; 4], protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = from(source, self.running.address).await;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

const OWN: [u8; 4] = [127, 0, 0, 7];

/// Preface and empty settings of HTTP/2.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A GET of a path on a stream of HTTP/2: method and scheme from the static table, path and authority literal.
fn request(stream: u8, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x44, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x41\x01x");
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, stream];
    frame.extend(block);
    frame
}

/// Reads until the frame of a type on a stream comes.
async fn frame(stream: &mut TlsStream<TcpStream>, kind: u8, number: u8) {
    let read = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length.try_into().unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            if (head[3], head[8]) == (kind, number) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("no such frame");
}

#[tokio::test]
async fn tls_without_a_handshake_and_silence_after_it_are_closed() {
    let secure = start_tls(Limits {
        first_request: 200 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut silent = from(OWN, secure.running.address).await;
    assert_eq!(rest(&mut silent).await, b"");
    let mut part = from(OWN, secure.running.address).await;
    // The begin of a handshake record.
    part.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(rest(&mut part).await, b"");
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let mut stream = secure.connect(OWN, protocol).await.unwrap();
        assert_eq!(rest(&mut stream).await, b"");
    }
    until("no place is taken", || secure.running.gate.taken() == (0, 0)).await;
}

#[tokio::test]
async fn a_failed_handshake_is_noticed_once_for_an_address() {
    let secure = start_tls(LIMITS).await;
    for _ in 0..3 {
        let mut stream = from(OWN, secure.running.address).await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let _ = rest(&mut stream).await;
    }
    until("no place is taken", || secure.running.gate.taken() == (0, 0)).await;
    let notices = secure.running.notices.lock().unwrap().clone();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].reason, listeners::Reason::Handshake);
}

#[tokio::test]
async fn http2_without_an_open_request_ends_and_with_one_it_stays() {
    let secure = start_tls(Limits {
        idle: 200 * MILLISECOND,
        ..LIMITS
    })
    .await;
    // Before its first request it has the time of a first request.
    let mut idle = secure.connect(OWN, b"h2").await.unwrap();
    idle.write_all(HELLO).await.unwrap();
    idle.write_all(&request(1, "/")).await.unwrap();
    frame(&mut idle, 0, 1).await;
    // It is asked to end, and cut off when it does not.
    frame(&mut idle, 7, 0).await;
    rest(&mut idle).await;

    let mut waiting = secure.connect(OWN, b"h2").await.unwrap();
    waiting.write_all(HELLO).await.unwrap();
    waiting.write_all(&request(1, "/wait")).await.unwrap();
    tokio::time::sleep(800 * MILLISECOND).await;
    waiting.write_all(&request(3, "/")).await.unwrap();
    frame(&mut waiting, 0, 3).await;
}

#[tokio::test]
async fn http2_without_any_request_is_closed() {
    let secure = start_tls(Limits {
        first_request: 300 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stream = secure.connect(OWN, b"h2").await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    rest(&mut stream).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_gone() {
    let secure = start_tls(Limits {
        ping: 200 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stream = secure.connect(OWN, b"h2").await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    stream.write_all(&request(1, "/wait")).await.unwrap();
    // It reads, but says nothing: as far as HTTP/2 goes, nobody is there.
    rest(&mut stream).await;
    until("its place is free", || secure.running.gate.taken() == (0, 0)).await;
}

#[tokio::test]
async fn a_login_takes_the_peer_out_of_the_share_of_strangers() {
    let secure = start_tls(LIMITS).await;
    let mut stream = secure.connect(OWN, b"h2").await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    stream.write_all(&request(1, "/login")).await.unwrap();
    frame(&mut stream, 0, 1).await;
    assert_eq!(secure.running.gate.taken(), (0, 1));
    let mut floods = Vec::new();
    for number in 1..40 {
        floods.push(from([127, 0, 4, number], secure.running.address).await);
    }
    until("the share is full", || secure.running.gate.taken() == (6, 7)).await;
    stream.write_all(&request(3, "/")).await.unwrap();
    frame(&mut stream, 0, 3).await;
}

#[tokio::test]
async fn an_old_connection_of_a_stranger_is_asked_to_end_and_its_running_response_is_not_cut() {
    let secure = start_tls(Limits {
        lifetime: 300 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stranger = secure.connect(OWN, b"h2").await.unwrap();
    stranger.write_all(HELLO).await.unwrap();
    stranger.write_all(&request(1, "/wait")).await.unwrap();
    frame(&mut stranger, 7, 0).await;
    let mut byte = [0; 256];
    let more = tokio::time::timeout(Duration::from_secs(3), stranger.read(&mut byte)).await;
    assert!(
        !matches!(more, Ok(Ok(0) | Err(_))),
        "its request is open: {more:?}"
    );

    let mut known = secure.connect(KNOWN, b"http/1.1").await.unwrap();
    known
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(600 * MILLISECOND).await;
    known
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let text = String::from_utf8(rest(&mut known).await).unwrap();
    assert_eq!(text.matches("200 OK").count(), 2, "{text}");
}
