//! The routes: who asks by address, then the tree.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use boot_script::{BootTarget, EventSender, Lookup, ViewHandle};
use http::{StatusCode, Uri, header};
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind};

use crate::tree::{Answer, VERSIONS, lookup};

/// Settings of the service.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config {
    /// Whether user data is given to whoever has the machine's address.
    pub serve_user_data_by_address: bool,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Whose address it is.
    pub view: Arc<ViewHandle>,
    /// Where refusals and first answers are told.
    pub events: EventSender,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    deps: Deps,
}

/// The metadata routes. Requests need `ConnectInfo<SocketAddr>`.
pub fn router(config: Config, deps: Deps) -> Router {
    let mut router = Router::new().route("/", get(answer));
    for version in VERSIONS {
        for path in [
            format!("/{version}"),
            format!("/{version}/"),
            format!("/{version}/{{*path}}"),
        ] {
            router = router.route(&path, get(answer));
        }
    }
    router.with_state(Arc::new(Shared { config, deps }))
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
) -> Response {
    let view = shared.deps.view.load();
    let subject = match peer.ip().to_canonical() {
        IpAddr::V4(address) => view.by_address(address),
        IpAddr::V6(_) => Lookup::Unknown,
    };
    let target = match subject {
        Lookup::Known(target) => target,
        Lookup::Ambiguous(_) => {
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                "several Hardware objects have this address\n",
            )
                .into_response();
        }
        Lookup::NotLoaded => {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "the appliance is still reading its objects\n",
            )
                .into_response();
        }
        Lookup::Unknown => return (StatusCode::NOT_FOUND, "no Hardware has this address\n").into_response(),
    };
    let switch = shared.config.serve_user_data_by_address;
    match lookup(uri.path(), target.name(), &target.machine.hardware, switch) {
        Answer::Text(text) => {
            if uri.path().trim_end_matches('/').ends_with("/instance-id") {
                // Every crawl reads it once: one event tells of all.
                tell(&shared, target, peer, "metadata read".to_owned());
            }
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        Answer::Withheld => {
            let text = "user data is not served by address alone; installed systems get it from their seed, \
                        or set serveUserDataByAddress";
            tracing::warn!(machine = target.name(), %peer, "user data asked for by address; serveUserDataByAddress is off");
            tell(&shared, target, peer, text.to_owned());
            (StatusCode::NOT_FOUND, format!("{text}\n")).into_response()
        }
        Answer::NotFound => StatusCode::NOT_FOUND.into_response(),
    }
}

fn tell(shared: &Shared, target: &BootTarget, peer: SocketAddr, text: String) {
    let event = BootEvent {
        kind: BootEventKind::Metadata,
        mac: None,
        peer: Some(peer.ip().to_string()),
        text,
    };
    shared.deps.events.send(Some(target), Timestamp::now(), event);
}
