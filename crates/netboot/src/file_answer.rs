//! The answer that is a file: conditions and ranges by tower-http, the content by the kernel ([`ServedFile`]).
//!
//! tower-http would read the file through buffers and a thread for each read. So it is asked as if by HEAD, about the
//! metadata of the file that is open already, and its answer gets the part of the file that it names.

use std::future::{Ready, ready};
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use listeners::ServedFile;
use tower::ServiceExt;
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, TokioFile};

/// A file with ranges and HEAD.
pub(crate) async fn answer(path: PathBuf, request: Request) -> Response {
    let opened = tokio::task::spawn_blocking(move || ServedFile::open(&path)).await;
    let file = match opened {
        Ok(Ok(file)) => file,
        Ok(Err(error)) => return refusal(&error).into_response(),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let wanted = *request.method() == Method::GET;
    let mut response = head(&file, request).await;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let part = match response.status() {
        StatusCode::OK => Some(0..file.bytes().len()),
        StatusCode::PARTIAL_CONTENT => part(response.headers()),
        _ => None,
    };
    if let Some(part) = part.filter(|_| wanted) {
        let bytes = file.bytes();
        if part.start > part.end || part.end > bytes.len() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        *response.body_mut() = Body::from(bytes.slice(part));
        response.extensions_mut().insert(file);
    }
    response
}

fn refusal(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory => StatusCode::NOT_FOUND,
        _ => {
            tracing::error!(%error, "a file cannot be served");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// What tower-http would say about the file, without its content.
async fn head(file: &Arc<ServedFile>, mut request: Request) -> Response {
    *request.method_mut() = Method::HEAD;
    // The path is of no meaning to `Opened`.
    *request.uri_mut() = Uri::from_static("/file");
    let answered = ServeDir::with_backend("", Opened(file.clone()))
        .oneshot(request)
        .await;
    match answered {
        Ok(response) => response.map(Body::new),
        // The error type has no value.
        Err(never) => match never {},
    }
}

/// The part of a file that a head of status 206 announces.
fn part(headers: &HeaderMap) -> Option<Range<usize>> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (part, _) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    Some(first..last.checked_add(1)?)
}

/// A folder in which every path is one open file.
#[derive(Clone)]
struct Opened(Arc<ServedFile>);

impl Backend for Opened {
    type File = TokioFile;
    type Metadata = std::fs::Metadata;
    type OpenFuture = Ready<std::io::Result<TokioFile>>;
    type MetadataFuture = Ready<std::io::Result<std::fs::Metadata>>;

    fn open(&self, _: PathBuf) -> Self::OpenFuture {
        // HEAD reads nothing.
        ready(Err(ErrorKind::Unsupported.into()))
    }

    fn metadata(&self, _: PathBuf) -> Self::MetadataFuture {
        ready(Ok(self.0.metadata().clone()))
    }
}
