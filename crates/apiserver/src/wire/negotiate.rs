//! Media types: in which form an answer goes out, and the responses themselves.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::body::Body;
use crate::status::ApiError;

/// The form in which objects go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Whole objects.
    Full,
    /// `meta.k8s.io/v1 Table`.
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata`.
    Metadata,
    /// `apidiscovery.k8s.io/v2`, for `/api` and `/apis` only.
    Discovery,
}

/// Picks the first acceptable form of the `Accept` header.
pub(crate) fn view(headers: &HeaderMap) -> Result<View, ApiError> {
    let Some(accept) = headers
        .get(ACCEPT)
        .and_then(|v| v.to_str().ok())
        .filter(|a| !a.trim().is_empty())
    else {
        return Ok(View::Full);
    };
    accept
        .split(',')
        .find_map(form)
        .ok_or_else(ApiError::not_acceptable)
}

fn form(range: &str) -> Option<View> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next()?;
    if !matches!(kind, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let (mut shape, mut group, mut version) = ("", "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => shape = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    match (shape, group, version) {
        ("", _, _) => Some(View::Full),
        ("Table", "meta.k8s.io", "v1") => Some(View::Table),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => Some(View::Metadata),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(View::Discovery),
        _ => None,
    }
}

/// A JSON response.
pub(crate) fn json(code: StatusCode, bytes: impl Into<bytes::Bytes>) -> Response<Body> {
    with_type(code, "application/json", Body::full(bytes))
}

/// A response with a media type.
pub(crate) fn with_type(code: StatusCode, media: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// The response of a failure.
pub(crate) fn failure(error: &ApiError) -> Response<Body> {
    let mut response = json(error.code, error.to_status().to_string());
    if error.code == StatusCode::TOO_MANY_REQUESTS {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(allow) = error.allow().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(http::header::ALLOW, allow);
    }
    response
}

/// Metadata only.
pub(crate) fn partial(object: &Value) -> Value {
    serde_json::json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

/// Characters that all warnings of an answer may have together before each is cut, as in kube-apiserver.
const WARNINGS: usize = 4 * 1024;
/// Characters of a warning that is cut.
const CUT_WARNING: usize = 256;

/// Adds `Warning` headers (RFC 7234 form, code 299), each text once, within what clients accept.
pub(crate) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    for text in bounded(warnings) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}

/// The texts, each once; when they are too long together, cut ones until that much is said.
fn bounded(warnings: &[String]) -> Vec<String> {
    let mut known = HashSet::new();
    let texts: Vec<&String> = warnings.iter().filter(|text| known.insert(*text)).collect();
    if texts.iter().map(|text| text.chars().count()).sum::<usize>() <= WARNINGS {
        return texts.into_iter().cloned().collect();
    }
    let mut left = WARNINGS;
    let mut cut = Vec::new();
    for text in texts {
        if left == 0 {
            break;
        }
        let text: String = text.chars().take(CUT_WARNING).collect();
        left = left.saturating_sub(text.chars().count());
        cut.push(text);
    }
    cut
}

/// The answer to a HEAD request: everything but the body, which HTTP/2 has no place for.
pub(crate) fn without_body(response: Response<Body>) -> Response<Body> {
    let (parts, _) = response.into_parts();
    Response::from_parts(parts, Body::full(Bytes::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_table() {
        for (accept, expected) in [
            ("", Some(View::Full)),
            ("application/json", Some(View::Full)),
            ("*/*", Some(View::Full)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Some(View::Table),
            ),
            (
                "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Some(View::Full),
            ),
            (
                "application/vnd.kubernetes.protobuf, application/json",
                Some(View::Full),
            ),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                Some(View::Discovery),
            ),
            (
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                Some(View::Metadata),
            ),
            ("application/vnd.kubernetes.protobuf", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(view(&headers).ok(), expected, "{accept}");
        }
    }

    #[test]
    fn warnings_are_few_and_each_is_said_once() {
        let texts = |count: usize, length: usize| -> Vec<String> {
            (0..count).map(|i| format!("{i:0length$}")).collect()
        };
        let twice = [texts(3, 10), texts(3, 10)].concat();
        assert_eq!(bounded(&twice), texts(3, 10));
        assert_eq!(bounded(&texts(8, 512)), texts(8, 512));
        let cut = bounded(&texts(20_000, 1000));
        assert_eq!((cut.len(), cut[0].len()), (16, 256));
    }
}
