//! `/images/<digest>`: operating-system images by the digest of the served file, with ranges.
//!
//! Content never changes under its name, so the digest is the entity tag.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::file_answer;
use crate::shared::Shared;

pub(crate) async fn image(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(digest): Path<String>,
    mut request: Request,
) -> Response {
    if !is_digest(&digest) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let tag = format!("\"{digest}\"");
    if names(request.headers(), header::IF_NONE_MATCH, &tag) {
        return tagged(StatusCode::NOT_MODIFIED.into_response(), &tag);
    }
    if request.headers().contains_key(header::IF_RANGE) {
        // A part of something else is not wanted: then the whole file is the answer (RFC 9110 section 13.1.5).
        if !names(request.headers(), header::IF_RANGE, &tag) {
            request.headers_mut().remove(header::RANGE);
        }
        request.headers_mut().remove(header::IF_RANGE);
    }
    shared.record_fetch(
        &request,
        peer,
        format!("image {}", digest.get(..12).unwrap_or(&digest)),
    );
    let response = file_answer::answer(shared.images_dir.join(&digest), request).await;
    if response.status().is_success() {
        tagged(response, &tag)
    } else {
        response
    }
}

pub(crate) async fn manifest(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(digest): Path<String>,
    request: Request,
) -> Response {
    if !is_digest(&digest) {
        return StatusCode::NOT_FOUND.into_response();
    }
    shared.record_fetch(
        &request,
        peer,
        format!("manifest of image {}", digest.get(..12).unwrap_or(&digest)),
    );
    let file = shared.images_dir.join(format!("{digest}.manifest.json"));
    let mut response = file_answer::answer(file, request).await;
    if response.status().is_success() {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn names(headers: &HeaderMap, header: header::HeaderName, tag: &str) -> bool {
    let value = headers
        .get(header)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(',')
        .any(|part| part.trim().trim_start_matches("W/") == tag)
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
