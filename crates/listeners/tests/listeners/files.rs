//! Files that the kernel sends, and turns between what is large.

use std::path::PathBuf;

use listeners::ServedFile;

use super::*;

/// Bytes that show where in the file they are.
fn content(begin: u64) -> Vec<u8> {
    let count = u64::try_from(LARGE / 8).unwrap();
    (0..count)
        .flat_map(|number| (begin + number).to_le_bytes())
        .collect()
}

struct Site {
    running: Running,
    folder: tempfile::TempDir,
}

/// `/N` gives the file from byte N on; the rest is as in [`answer`].
async fn files(path: PathBuf, request: Request<RequestBody>) -> Result<Answer, Infallible> {
    let Ok(begin) = request.uri().path().trim_start_matches('/').parse::<usize>() else {
        return answer(request).await;
    };
    let file = ServedFile::open(&path).unwrap();
    let mut response = Response::new(Full::new(file.bytes().slice(begin..)).boxed_unsync());
    response.extensions_mut().insert(file);
    Ok(response)
}

async fn site(limits: Limits) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, content(0)).unwrap();
    let (listener, address) = listen().await;
    let (gate, notices) = gate(Shares {
        total: 100,
        per_known: 100,
        ..SHARES
    });
    let cancel = CancellationToken::new();
    let service = move |_: Peer<'_>| {
        let path = path.clone();
        Some(hyper::service::service_fn(move |request| {
            files(path.clone(), request)
        }))
    };
    tokio::spawn(listeners::run_http(
        listener,
        gate.clone(),
        limits,
        service,
        cancel.clone(),
    ));
    let running = Running {
        address,
        gate,
        notices,
        _stop: cancel.drop_guard(),
    };
    Site { running, folder }
}

impl Site {
    /// Asks over a new connection and reads as far as the end of the head.
    async fn open(&self, path: &str) -> TcpStream {
        let mut stream = from(KNOWN, self.running.address).await;
        send(&mut stream, path, "close").await;
        skip_head(&mut stream).await;
        stream
    }
}

async fn send(stream: &mut TcpStream, path: &str, connection: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn skip_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await;
        head.push(byte.expect("no head").unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{head:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_whole_and_in_parts() {
    let site = site(LIMITS).await;
    let all = content(0);
    for begin in [0, 1, 4095, 4096, 600_001, LARGE - 1] {
        let mut stream = site.open(&format!("/{begin}")).await;
        assert!(rest(&mut stream).await == all[begin..], "from {begin}");
    }
    // One connection, several answers: each part is of its own answer.
    let mut stream = from(KNOWN, site.running.address).await;
    for begin in [LARGE - 10, 20_000_000, LARGE] {
        send(&mut stream, &format!("/{begin}"), "keep-alive").await;
        skip_head(&mut stream).await;
        let mut part = vec![0; LARGE - begin];
        stream.read_exact(&mut part).await.unwrap();
        assert!(part == all[begin..], "from {begin}");
        assert_eq!(ask(&mut stream, "/").await, Some(200));
        let mut text = [0; 4096];
        let read = stream.read(&mut text).await.unwrap();
        assert!(text[..read].ends_with(b"here"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_while_it_is_sent_comes_whole() {
    let site = site(LIMITS).await;
    let mut stream = site.open("/0").await;
    let mut begin = vec![0; 1 << 20];
    stream.read_exact(&mut begin).await.unwrap();
    let (new, file) = (site.folder.path().join("new"), site.folder.path().join("file"));
    std::fs::write(&new, content(1 << 40)).unwrap();
    std::fs::rename(&new, &file).unwrap();
    begin.extend(rest(&mut stream).await);
    assert!(begin == content(0), "a mixture of both");
    let mut stream = site.open("/0").await;
    assert!(rest(&mut stream).await == content(1 << 40), "still the old one");
}

/// Nobody may do that; it costs no more than the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_while_it_is_sent_ends_its_connection() {
    let site = site(LIMITS).await;
    let mut stream = site.open("/0").await;
    let file = std::fs::File::options()
        .write(true)
        .open(site.folder.path().join("file"))
        .unwrap();
    file.set_len(8 << 20).unwrap();
    assert!(rest(&mut stream).await.len() < LARGE);
    let mut other = from(KNOWN, site.running.address).await;
    assert_eq!(ask(&mut other, "/").await, Some(200));
}

/// Many that do not read, many that do: neither keeps anybody from being served.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_small_is_answered_while_much_is_waiting() {
    let site = site(LIMITS).await;
    let mut unread = Vec::new();
    for path in ["/0", "/large"].repeat(12) {
        unread.push(site.open(path).await);
    }
    let mut small = from(KNOWN, site.running.address).await;
    assert_eq!(ask(&mut small, "/").await, Some(200));
    let mut large = site.open("/0").await;
    assert!(
        rest(&mut large).await == content(0),
        "nobody takes its turns away"
    );
    for mut stream in unread {
        assert_eq!(rest(&mut stream).await.len(), LARGE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_sent_to_a_reader_that_stalls() {
    let site = site(Limits {
        stall_known: 500 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stalled = site.open("/0").await;
    until("its place is free", || site.running.gate.taken() == (0, 0)).await;
    assert!(rest(&mut stalled).await.len() < LARGE);
}
