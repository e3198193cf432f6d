//! `/ipxe/script/...`: the script for a machine, named in the path or by its address. Anybody may name a MAC address;
//! the boot id of an armed machine goes to its own address only.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use boot_script::{Lookup, Peer, Subject, decide, render};
use http::{StatusCode, header};
use jiff::Timestamp;
use resources::Mac;

use crate::metrics;
use crate::shared::Shared;

pub(crate) async fn by_mac(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(mac): Path<String>,
) -> Response {
    let Ok(mac) = mac.parse::<Mac>() else {
        return (StatusCode::NOT_FOUND, "not a MAC address\n").into_response();
    };
    let view = shared.view.load();
    let peer = view.peer(peer.ip());
    answer(&shared, view.by_mac(mac), Some(mac), &peer)
}

pub(crate) async fn by_address(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    let peer = shared.peer(peer);
    let mac = peer.target().map(|target| target.mac);
    answer(&shared, peer.lookup(), mac, &peer)
}

fn answer(shared: &Shared, subject: Lookup<'_>, mac: Option<Mac>, peer: &Peer) -> Response {
    let now = Timestamp::now();
    let decision = decide(subject, peer.asks_for(subject), &shared.site, now);
    let target = subject.known();
    let who = Subject {
        mac,
        name: target.map(|target| target.name()),
    };
    let summary = decision.summary();
    let response = match render(&decision, who, &shared.site, now) {
        Ok(Some(script)) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                // The answer is of this moment: nothing on the way may keep it.
                (header::CACHE_CONTROL, "no-store"),
            ];
            shared.record(peer, subject, mac, format!("script: {summary}"));
            (headers, script).into_response()
        }
        Ok(None) => {
            shared.record(peer, subject, mac, format!("script: {summary}"));
            (StatusCode::NOT_FOUND, format!("{summary}\n")).into_response()
        }
        Err(error) => {
            let machine = target.map(|target| target.name().to_owned());
            tracing::warn!(machine, %error, "no boot script");
            shared.record(peer, subject, mac, format!("script: {error}"));
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    };
    metrics::boot_script(response.status());
    response
}
