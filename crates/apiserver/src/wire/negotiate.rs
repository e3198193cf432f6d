//! Media types: in which form an answer goes out, and the responses themselves.

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
    response
}

/// Metadata only.
pub(crate) fn partial(object: &Value) -> Value {
    serde_json::json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

/// Adds `Warning` headers (RFC 7234 form, code 299).
pub(crate) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning.chars().filter(|c| !c.is_control()).collect();
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
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
}
