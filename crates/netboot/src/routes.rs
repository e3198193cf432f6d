//! The routes and what they share.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use boot_script::{BootTarget, EventSender, SiteSettings, ViewHandle};
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind, Mac};

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
    /// Where fetches are told.
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
    Ok(Router::new()
        .route("/ipxe/script/auto.ipxe", get(scripts::by_address))
        .route("/ipxe/script/{mac}/auto.ipxe", get(scripts::by_mac))
        .route("/ipxe/binary/{mac}/{file}", get(boot_files::binary))
        .route("/boot/{file}", get(boot_files::boot_file))
        .route("/images/{digest}", get(images::image))
        .route("/images/{digest}/manifest.json", get(images::manifest))
        .with_state(shared))
}

impl Shared {
    /// The machine whose reserved address the peer has.
    pub(crate) fn machine_at(&self, peer: SocketAddr) -> Option<Arc<BootTarget>> {
        self.view.load().by_address(v4(peer)?).known().cloned()
    }

    /// Tells an event of a machine, named by MAC or by the peer's address.
    pub(crate) fn tell(&self, target: Option<&BootTarget>, mac: Option<Mac>, peer: SocketAddr, text: String) {
        tracing::debug!(%peer, text, "HTTP boot");
        let event = BootEvent {
            kind: BootEventKind::Http,
            mac,
            peer: Some(peer.ip().to_string()),
            text,
        };
        self.events.send(target, Timestamp::now(), event);
    }

    /// Tells the fetch of a file once, not for each of its ranges.
    pub(crate) fn tell_fetch(&self, request: &axum::extract::Request, peer: SocketAddr, text: String) {
        let range = request
            .headers()
            .get(http::header::RANGE)
            .and_then(|value| value.to_str().ok());
        if request.method() == Method::GET && range.is_none_or(|range| range.starts_with("bytes=0-")) {
            self.tell(self.machine_at(peer).as_deref(), None, peer, text);
        }
    }
}

/// The peer's IPv4 address, also when it came as a mapped one.
pub(crate) fn v4(peer: SocketAddr) -> Option<Ipv4Addr> {
    match peer.ip().to_canonical() {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    }
}
