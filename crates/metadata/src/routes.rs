//! The routes: who asks by address, then the tree.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use boot_script::{EventSender, Lookup, Peer, ViewHandle};
use http::{StatusCode, Uri, header};
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind};

use crate::tree::{Answer, VERSIONS, lookup};
use crate::withheld::Withheld;

/// Settings of the service.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config {
    /// `serveUserDataByAddress`: whether user data is given to whoever has the machine's address.
    pub serve_user_data_by_address: bool,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Whose address it is.
    pub view: Arc<ViewHandle>,
    /// Where refusals and first answers are recorded.
    pub events: EventSender,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    deps: Deps,
    withheld: Withheld,
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
    router.with_state(Arc::new(Shared {
        config,
        deps,
        withheld: Withheld::default(),
    }))
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
) -> Response {
    let peer = shared.deps.view.load().peer(peer.ip());
    let refused = |status: StatusCode, text: &str| {
        record(&shared, &peer, format!("metadata refused: {text}"));
        (status, format!("{text}\n")).into_response()
    };
    let target = match peer.lookup() {
        Lookup::Known(target) => target,
        Lookup::Ambiguous(_) => {
            let text = "several Hardware objects have this address";
            return refused(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
        Lookup::NotLoaded => {
            let text = "the appliance is still reading its objects";
            return refused(StatusCode::SERVICE_UNAVAILABLE, text);
        }
        Lookup::Unknown => return refused(StatusCode::NOT_FOUND, "no Hardware has this address"),
    };
    let switch = shared.config.serve_user_data_by_address;
    match lookup(uri.path(), target.name(), &target.machine.hardware, switch) {
        Answer::Text(text) => {
            if uri.path().trim_end_matches('/').ends_with("/instance-id") {
                // Every crawl reads it once: one record stands for all.
                record(&shared, &peer, "metadata read".to_owned());
            }
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        Answer::Withheld => {
            let text = "user data is not served by address alone; installed systems get it from their seed, \
                        or set serveUserDataByAddress of gantry serve";
            if let Some(count) = shared.withheld.count(Timestamp::now()) {
                tracing::warn!(machine = target.name(), peer = %peer.address(), count, "user data asked for by address; serveUserDataByAddress is off");
            }
            record(&shared, &peer, text.to_owned());
            (StatusCode::NOT_FOUND, format!("{text}\n")).into_response()
        }
        Answer::NotFound => StatusCode::NOT_FOUND.into_response(),
    }
}

fn record(shared: &Shared, peer: &Peer, text: String) {
    let event = BootEvent {
        kind: BootEventKind::Metadata,
        mac: None,
        peer: Some(peer.address().to_string()),
        text,
    };
    let target = peer.target().map(AsRef::as_ref);
    shared.deps.events.send(target, Timestamp::now(), event);
}
