//! What every handler sees.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::Request;
use boot_script::{EventSender, Lookup, Peer, SiteSettings, ViewHandle};
use bytes::Bytes;
use http::{Method, header};
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind, Mac};

/// What every handler sees.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) site: SiteSettings,
    pub(crate) boot_dir: PathBuf,
    pub(crate) images_dir: PathBuf,
    pub(crate) site_ca: Bytes,
    pub(crate) view: Arc<ViewHandle>,
    pub(crate) events: EventSender,
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
    pub(crate) fn record_fetch(&self, request: &Request, peer: SocketAddr, text: String) {
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
pub(crate) fn is_begin(request: &Request) -> bool {
    let range = request
        .headers()
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    request.method() == Method::GET && range.is_none_or(|range| range.starts_with("bytes=0-"))
}
