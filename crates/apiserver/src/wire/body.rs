//! Request and response bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::UnsyncBoxBody};
use serde_json::Value;

use super::protobuf;
use crate::extent::Extent;
use crate::status::ApiError;

/// Bytes that a request body may have, as kube-apiserver allows.
pub(crate) const MOST_BYTES: usize = 3 * 1024 * 1024;

/// A response body: complete, or a stream of watch events.
pub struct Body(UnsyncBoxBody<Bytes, Infallible>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    /// A complete body.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
        Body(Full::new(bytes.into()).boxed_unsync())
    }

    /// A body that goes on until the stream ends.
    pub(crate) fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Body {
        use futures::StreamExt;
        let frames = stream.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        Body(http_body_util::StreamBody::new(frames).boxed_unsync())
    }
}

/// A body and what lives as long as it.
struct Keeping<G> {
    body: Body,
    _guard: G,
}

impl Body {
    /// Keeps something until the body was written or given up.
    pub(crate) fn keeping(self, guard: impl Send + Unpin + 'static) -> Body {
        Body(
            Keeping {
                body: self,
                _guard: guard,
            }
            .boxed_unsync(),
        )
    }
}

impl<G: Unpin> http_body::Body for Keeping<G> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

/// Reads a whole request body within the limit.
pub(crate) async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(ApiError::too_large(MOST_BYTES)),
        Err(e) => Err(ApiError::bad_request(format!("unable to read request body: {e}"))),
    }
}

/// Content type of a request without its parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

/// Decodes a JSON or YAML body; an empty one is `null`.
pub(crate) fn decode(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    match content_type(headers) {
        ""
        | "application/json"
        | "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => json(bytes),
        "application/yaml" | "application/apply-patch+yaml" => yaml(bytes),
        protobuf::MEDIA => protobuf::decode(bytes).map_err(|fault| match fault {
            protobuf::Fault::Malformed => ApiError::bad_request("error decoding protobuf"),
            protobuf::Fault::UnknownKind(kind) => ApiError::unsupported_media(format!(
                "protobuf is not supported for {kind} - accepted media types include: application/json, application/yaml"
            )),
        }),
        other => Err(ApiError::unsupported_media(format!(
            "the body of the request was in an unknown format ({other}) - accepted media types include: \
             application/json, application/yaml"
        ))),
    }
}

fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::bad_request(format!("error decoding JSON: {e}")))
}

fn yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    // kubectl sends JSON under the YAML type: the strict parser first.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))?;
    // The text around the place may be a Secret's.
    let failed = |error: serde_saphyr::Error| {
        ApiError::bad_request(format!("error decoding YAML: {}", error.without_snippet()))
    };
    let value: Value = serde_saphyr::from_str(text).map_err(failed)?;
    if !Extent::of(&value).is_readable() {
        let text = "error decoding YAML: it is nested too deeply";
        return Err(ApiError::bad_request(text));
    }
    Ok(value)
}
