//! The routes and what they share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use boot_script::{EventSender, Lookup, Peer, SiteSettings, ViewHandle};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind, Mac};
use tower::ServiceExt;

use crate::archive::site_ca_archive;
use crate::error::Error;
use crate::{boot_files, images, scripts};

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The site.
    pub site: SiteSettings,
    /// Directory with `vmlinuz`, `initramfs` and the iPXE binaries.
    pub boot_dir: PathBuf,
    /// Directory with the images: `<64 hex digits>` and `<64 hex digits>.manifest.json`.
    pub images_dir: PathBuf,
    /// Certificate of the site CA (PEM), public.
    pub site_ca: String,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Whom to serve.
    pub view: Arc<ViewHandle>,
    /// Where requests are recorded.
    pub events: EventSender,
}

/// What every handler sees.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) site: SiteSettings,
    pub(crate) boot_dir: PathBuf,
    pub(crate) images_dir: PathBuf,
    pub(crate) site_ca: Bytes,
    pub(crate) view: Arc<ViewHandle>,
    events: EventSender,
}

/// The boot routes. Requests need `ConnectInfo<SocketAddr>`, which [`crate::run_http`] gives.
///
/// # Errors
/// If the site CA is no certificate.
pub fn router(config: Config, deps: Deps) -> Result<Router, Error> {
    let Config {
        site,
        boot_dir,
        images_dir,
        site_ca,
    } = config;
    let Deps { view, events } = deps;
    let site_ca = site_ca_archive(&site_ca)?.into();
    let shared = Arc::new(Shared {
        site,
        boot_dir,
        images_dir,
        site_ca,
        view,
        events,
    });
    let routes = Router::new()
        .route("/ipxe/script/auto.ipxe", get(scripts::by_address))
        .route("/ipxe/script/{mac}/auto.ipxe", get(scripts::by_mac))
        .route("/ipxe/binary/{mac}/{file}", get(boot_files::binary))
        .route("/boot/{file}", get(boot_files::boot_file))
        .route("/images/{digest}", get(images::image))
        .route("/images/{digest}/manifest.json", get(images::manifest))
        .with_state(shared);
    Ok(routes
        .clone()
        .fallback(move |request| without_doubled_slashes(routes, request)))
}

/// Serves `//ipxe/...` as `/ipxe/...`: firmware joins a server and a path with one slash too many, and follows no
/// redirect.
async fn without_doubled_slashes(routes: Router, mut request: Request) -> Response {
    let Some(uri) = single_slashes(request.uri()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    *request.uri_mut() = uri;
    routes.oneshot(request).await.into_response()
}

/// The address with single slashes in its path; `None` if it has no others.
fn single_slashes(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains("//") {
        return None;
    }
    let mut path = String::with_capacity(uri.path().len());
    for character in uri.path().chars() {
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    path.parse().ok()
}

impl Shared {
    /// Who asks.
    pub(crate) fn peer(&self, address: SocketAddr) -> Peer {
        self.view.load().peer(address.ip())
    }

    /// Records a request of `peer` about a machine. Only what a machine asks for itself counts as heard of it.
    pub(crate) fn record(&self, peer: &Peer, subject: Lookup<'_>, mac: Option<Mac>, text: String) {
        tracing::debug!(peer = %peer.address(), text, "HTTP boot");
        let event = BootEvent {
            kind: BootEventKind::Http,
            mac,
            peer: Some(peer.address().to_string()),
            text,
        };
        let now = Timestamp::now();
        match subject.known() {
            Some(target) if !peer.is(&target.machine) => {
                self.events.send_about(target.name(), now, event);
            }
            target => self.events.send(target.map(AsRef::as_ref), now, event),
        }
    }

    /// Records the fetch of a file once, not for each of its ranges.
    pub(crate) fn record_fetch(&self, request: &axum::extract::Request, peer: SocketAddr, text: String) {
        if is_begin(request) {
            let peer = self.peer(peer);
            self.record(&peer, peer.lookup(), None, text);
        }
    }

    /// The machine at this address has got a file of the installer, as far as the start of its transfer shows.
    pub(crate) fn fetched(&self, peer: SocketAddr, file: &str) {
        if let Some(target) = self.peer(peer).target() {
            self.events.sightings().fetched(target, file, Timestamp::now());
        }
    }
}

/// Whether the begin of a file is asked for.
pub(crate) fn is_begin(request: &axum::extract::Request) -> bool {
    let range = request
        .headers()
        .get(http::header::RANGE)
        .and_then(|value| value.to_str().ok());
    request.method() == Method::GET && range.is_none_or(|range| range.starts_with("bytes=0-"))
}
