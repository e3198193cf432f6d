//! An image over HTTP as a blocking stream. A break of the connection, or of the appliance, is waited out and the
//! stream goes on where it stopped, if the server still has the same file.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_RANGE, ETAG, HOST, IF_RANGE, RANGE, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::Error;

/// Without a single byte for this long the stream fails.
const PATIENCE: Duration = Duration::from_secs(900);
/// Without a byte for this long the connection is given up and made again.
const STALL: Duration = Duration::from_secs(30);
/// Pause before the next connection after one that brought something; doubled after each that did not.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pieces on the way to the reader.
const DEPTH: usize = 64;

type Piece = io::Result<Bytes>;

/// Starts fetching on `runtime`.
///
/// # Errors
/// When the address is not `http://HOST[:PORT]/PATH`.
pub(crate) fn fetch(url: &str, runtime: &tokio::runtime::Handle) -> Result<Box<dyn Read + Send>, Error> {
    let wrong = |reason: &str| Error::Fetch {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| wrong("this is no URL"))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        return Err(wrong(
            "the agent fetches over http only; the appliance fetches from elsewhere and serves it so",
        ));
    }
    let (sender, receiver) = mpsc::channel(DEPTH);
    runtime.spawn(async move { pump(uri, sender).await });
    Ok(Box::new(Stream {
        receiver,
        current: Bytes::new(),
    }))
}

struct Stream {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.current = piece?,
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current
            .copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

/// Where the stream is.
#[derive(Default)]
struct Position {
    got: u64,
    total: Option<u64>,
    tag: Option<String>,
}

async fn pump(uri: Uri, sender: mpsc::Sender<Piece>) {
    let mut position = Position::default();
    let mut last_byte = Instant::now();
    let mut pauses = Pauses::default();
    loop {
        let before = position.got;
        let outcome = connection(&uri, &sender, &mut position).await;
        if position.got > before {
            last_byte = Instant::now();
            pauses = Pauses::default();
        }
        let problem = match outcome {
            Ok(true) => return,
            Ok(false) => io::Error::from(io::ErrorKind::UnexpectedEof),
            Err(problem) => problem,
        };
        let hopeless = problem.kind() == io::ErrorKind::InvalidData || last_byte.elapsed() > PATIENCE;
        if hopeless {
            let _ = sender.send(Err(problem)).await;
            return;
        }
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(pauses.next(rand::random())) => {}
        }
    }
}

/// Pauses between connections that bring nothing.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSE)
    }
}

impl Pauses {
    /// The next pause: twice the last one, and up to a quarter more by `jitter`, a number from 0 to 1, so that the machines
    /// of a rack do not come back all at once.
    fn next(&mut self, jitter: f64) -> Duration {
        let pause = self.0.mul_f64(1.0 + jitter / 4.0);
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// One connection. True when the whole file has come or nobody reads any more. `InvalidData` means that trying again
/// is of no use.
async fn connection(uri: &Uri, sender: &mpsc::Sender<Piece>, position: &mut Position) -> io::Result<bool> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = timeout(STALL, TcpStream::connect((host, uri.port_u16().unwrap_or(80)))).await??;
    let (mut requests, connection) = hyper::client::conn::http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let task = tokio::spawn(connection);
    let result = transfer(uri, &mut requests, sender, position).await;
    task.abort();
    result
}

async fn transfer(
    uri: &Uri,
    requests: &mut hyper::client::conn::http1::SendRequest<Empty<Bytes>>,
    sender: &mpsc::Sender<Piece>,
    position: &mut Position,
) -> io::Result<bool> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, "gantry-agent");
    if position.got > 0 {
        request = request.header(RANGE, format!("bytes={}-", position.got));
        if let Some(tag) = &position.tag {
            request = request.header(IF_RANGE, tag);
        }
    }
    let request = request.body(Empty::new()).map_err(io::Error::other)?;
    let answer = timeout(STALL, requests.send_request(request))
        .await?
        .map_err(io::Error::other)?;
    let header = |name| {
        answer
            .headers()
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    match answer.status() {
        StatusCode::OK if position.got == 0 => {
            position.tag = header(ETAG)
                .filter(|tag| !tag.starts_with("W/"))
                .map(str::to_owned);
            position.total = header(http::header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        }
        StatusCode::OK => return Err(hopeless("the file on the server has changed meanwhile")),
        StatusCode::PARTIAL_CONTENT => {
            let wanted = format!("bytes {}-", position.got);
            if !header(CONTENT_RANGE).is_some_and(|range| range.starts_with(&wanted)) {
                return Err(hopeless("the server answers with another range"));
            }
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(io::Error::other(format!("the server answers {status}")));
        }
        status => return Err(hopeless(&format!("the server answers {status}"))),
    }
    let mut body = answer.into_body();
    while let Some(frame) = timeout(STALL, body.frame()).await? {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
            continue;
        };
        position.got += data.len() as u64;
        if sender.send(Ok(data)).await.is_err() {
            return Ok(true);
        }
    }
    Ok(position.total.is_none_or(|total| position.got >= total))
}

fn hopeless(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers the first request with half of the file and the second with the rest.
    async fn flaky(data: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for round in 0..2 {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = socket.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).to_ascii_lowercase();
                let half = data.len() / 2;
                let (head, body) = if round == 0 {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: {}\r\n\r\n",
                        data.len()
                    );
                    (head, &data[..half])
                } else {
                    assert!(request.contains(&format!("range: bytes={half}-")), "{request}");
                    assert!(request.contains("if-range: \"a\""), "{request}");
                    let range = format!("content-range: bytes {half}-{}/{}", data.len() - 1, data.len());
                    let head = format!(
                        "HTTP/1.1 206 Partial Content\r\n{range}\r\ncontent-length: {}\r\n\r\n",
                        data.len() - half
                    );
                    (head, &data[half..])
                };
                socket.write_all(head.as_bytes()).await.unwrap();
                socket.write_all(body).await.unwrap();
            }
        });
        format!("http://{address}/images/00ff")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_stream_goes_on() {
        let data: &'static [u8] = &[7; 100_000];
        let url = flaky(data).await;
        let runtime = tokio::runtime::Handle::current();
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            fetch(&url, &runtime).unwrap().read_to_end(&mut all).map(|_| all)
        });
        assert_eq!(read.await.unwrap().unwrap(), data);
    }

    #[test]
    fn pauses_grow_and_differ() {
        let mut pauses = Pauses::default();
        let seconds: Vec<u64> = (0..7).map(|_| pauses.next(0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pauses.next(1.0), Duration::from_millis(37_500));
    }

    #[tokio::test]
    async fn only_http() {
        let runtime = tokio::runtime::Handle::current();
        for url in ["https://host/a", "file:///a", "a b", "/a"] {
            assert!(fetch(url, &runtime).is_err(), "{url}");
        }
    }
}
