//! HTTP on the daemon's socket. Written here and not taken from a client library, because the contract asks what such a
//! library does not tell: whether a request has left, and whether an answer is the daemon's own or of something in between.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use driver::Fault;
use driver::v1::Reason;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longest time for a request whose answer comes when its work is done. Below that of a call of the contract.
const LIMIT: Duration = Duration::from_secs(25);
/// Largest answer that is read at once.
const LARGEST: usize = 32 << 20;
/// Every answer of a daemon has it, and no other server's.
const API_VERSION: &str = "api-version";

/// What a request carries.
pub(crate) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// A whole answer of the daemon.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// The body as what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Fault::new(
                Reason::TaskFailed,
                format!("the daemon's answer does not fit: {error}"),
            )
        })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The daemon's own text of an error.
    pub(crate) fn message(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = body.get("message").and_then(Value::as_str);
        text.map_or_else(|| self.status.to_string(), |text| text.trim().to_owned())
    }

    /// A fault with the daemon's text and code.
    pub(crate) fn fault(&self, reason: Reason) -> Fault {
        Fault::new(reason, format!("the Docker daemon says: {}", self.message()))
            .with_provider_code(self.status.as_str().to_owned())
    }

    /// A status that the caller has no row for.
    pub(crate) fn unexpected(&self) -> Fault {
        self.fault(Reason::TaskFailed)
    }
}

/// A request with a body, or without one.
pub(super) fn request(method: Method, path: &str, body: Option<&Value>) -> Result<Request<Outgoing>, Fault> {
    let text = body.map(Value::to_string).unwrap_or_default();
    with_body(method, path, "application/json", whole(text.into()))
}

/// A body that is there already.
pub(crate) fn whole(bytes: Bytes) -> Outgoing {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn with_body(
    method: Method,
    path: &str,
    kind: &str,
    body: Outgoing,
) -> Result<Request<Outgoing>, Fault> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "docker")
        .header(CONTENT_TYPE, kind)
        .body(body)
        .map_err(|error| Fault::new(Reason::Bug, format!("{path}: {error}")).without_effect())
}

/// Sends a request over a connection of its own, and reads the whole answer.
pub(super) async fn send(socket: &Path, request: Request<Outgoing>) -> Result<Answer, Fault> {
    let exchange = async {
        let response = open(socket, request).await?;
        read(socket, response).await
    };
    timeout(LIMIT, exchange).await.unwrap_or_else(|_| {
        let text = format!(
            "{}: the Docker daemon has not answered in {} s",
            socket.display(),
            LIMIT.as_secs()
        );
        Err(Fault::new(Reason::TaskFailed, text))
    })
}

/// Reads the rest of an answer.
pub(super) async fn read(socket: &Path, response: Response<Incoming>) -> Result<Answer, Fault> {
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| broken(socket, error.as_ref()))?;
    Ok(Answer {
        status,
        body: body.to_bytes(),
    })
}

/// Sends a request; the body of the answer is the caller's to read. The connection ends with it.
pub(super) async fn open(socket: &Path, request: Request<Outgoing>) -> Result<Response<Incoming>, Fault> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| refused(socket, &error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(socket, &error))?;
    tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| broken(socket, &error))?;
    judge(response.status(), response.headers())?;
    Ok(response)
}

/// Nobody has got the request.
fn refused(socket: &Path, error: &io::Error) -> Fault {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => Reason::Permission,
        _ => Reason::Unreachable,
    };
    Fault::new(reason, format!("{}: {error}", socket.display())).without_effect()
}

/// The daemon may have got the request.
fn broken(socket: &Path, error: &dyn std::error::Error) -> Fault {
    Fault::new(Reason::Unreachable, format!("{}: {error}", socket.display()))
}

/// An answer that says nothing of what was asked: the daemon is busy, or it is not the daemon's.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Fault> {
    let fault = |reason: Reason, text: String| {
        Err(Fault::new(reason, text).with_provider_code(status.as_str().to_owned()))
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS => fault(Reason::Throttled, format!("the socket answers {status}")),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            fault(Reason::Unreachable, format!("the socket answers {status}"))
        }
        _ if headers.contains_key(API_VERSION) => Ok(()),
        _ => fault(
            Reason::TaskFailed,
            format!("no Docker daemon answers at the socket: {status} without header Api-Version"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use driver::v1::Reason;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::{API_VERSION, Answer, judge, refused};

    #[test]
    fn only_the_daemons_answers_say_something() {
        let mut of_daemon = HeaderMap::new();
        of_daemon.insert(API_VERSION, HeaderValue::from_static("1.41"));
        for (status, headers, wanted) in [
            (StatusCode::OK, &of_daemon, None),
            (StatusCode::NOT_FOUND, &of_daemon, None),
            (StatusCode::INTERNAL_SERVER_ERROR, &of_daemon, None),
            (StatusCode::OK, &HeaderMap::new(), Some(Reason::TaskFailed)),
            (StatusCode::NOT_FOUND, &HeaderMap::new(), Some(Reason::TaskFailed)),
            (StatusCode::FOUND, &HeaderMap::new(), Some(Reason::TaskFailed)),
            (
                StatusCode::TOO_MANY_REQUESTS,
                &HeaderMap::new(),
                Some(Reason::Throttled),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                &of_daemon,
                Some(Reason::Unreachable),
            ),
        ] {
            let found = judge(status, headers).err().map(|fault| fault.reason());
            assert_eq!(found, wanted, "{status}");
        }
    }

    #[test]
    fn a_socket_that_nobody_may_open_is_told_from_one_that_is_missing() {
        for (kind, wanted) in [
            (io::ErrorKind::PermissionDenied, Reason::Permission),
            (io::ErrorKind::NotFound, Reason::Unreachable),
            (io::ErrorKind::ConnectionRefused, Reason::Unreachable),
        ] {
            let fault = refused(Path::new("/run/docker.sock"), &kind.into());
            assert_eq!(fault.reason(), wanted, "{kind}");
            assert!(!fault.is_outcome_unknown(), "{kind}: nothing was sent");
        }
    }

    #[test]
    fn an_error_has_the_daemons_own_text() {
        let answer = |body: &str| Answer {
            status: StatusCode::CONFLICT,
            body: body.to_owned().into(),
        };
        assert_eq!(answer("{\"message\":\"in use\\n\"}").message(), "in use");
        assert_eq!(answer("<html>").message(), "409 Conflict");
    }
}
