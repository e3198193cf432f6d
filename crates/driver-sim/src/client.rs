//! HTTP requests of the driver to its provider.

use bytes::Bytes;
use driver::Fault;
use driver::v1::Reason;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

/// Header that carries the session.
const SESSION: &str = "x-session";

/// An answer of the provider that is one of its own: JSON, or empty.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Value,
}

impl Answer {
    /// The body as what it should be.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Fault> {
        serde_json::from_value(self.body)
            .map_err(|error| strange(&format!("its answer does not fit: {error}")))
    }

    /// The provider's own text of an error.
    pub(crate) fn error(&self) -> String {
        let text = self.body.get("error").and_then(Value::as_str);
        format!("{} {}", self.status, text.unwrap_or_default())
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.body.get(name)?.as_str().map(ToOwned::to_owned)
    }
}

/// Sends a request over a connection of its own.
pub(crate) async fn send(
    url: &str,
    method: Method,
    path: &str,
    session: &str,
    body: Option<Value>,
) -> Result<Answer, Fault> {
    let address = url
        .strip_prefix("http://")
        .ok_or_else(|| Fault::invalid("/scope/config/url", "the URL does not begin with http://"))?;
    let unreachable =
        |error: &dyn std::error::Error| Fault::new(Reason::Unreachable, format!("{url}: {error}"));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| unreachable(&error).without_effect())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    tokio::spawn(connection);
    let text = body.map(|body| body.to_string()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address)
        .header(SESSION, session)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(text)))
        .map_err(|error| Fault::invalid("/scope/config/url", error.to_string()))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| unreachable(&error))?;
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .map_err(|error| unreachable(&error))?;
    let bytes = bytes.to_bytes();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Fault::new(Reason::Unreachable, format!("{url} says {status}")));
    }
    if status.is_redirection() {
        return Err(strange(&format!("it says {status}")));
    }
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).map_err(|error| strange(&format!("its answer is no JSON: {error}")))?
    };
    Ok(Answer { status, body })
}

/// What no provider of this kind would say: a proxy's page, or another program.
fn strange(problem: &str) -> Fault {
    Fault::new(
        Reason::TaskFailed,
        format!("the URL does not lead to the provider: {problem}"),
    )
}
