//! `/ipxe/script/...`: the script for a machine, named in the path or by its address.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use boot_script::{BootView, Lookup, Subject, decide, render};
use http::{StatusCode, header};
use jiff::Timestamp;
use resources::Mac;

use crate::routes::{Shared, v4};

pub(crate) async fn by_mac(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(mac): Path<String>,
) -> Response {
    let Ok(mac) = mac.parse::<Mac>() else {
        return (StatusCode::NOT_FOUND, "not a MAC address\n").into_response();
    };
    let view = shared.view.load();
    answer(&shared, view.by_mac(mac), Some(mac), peer)
}

pub(crate) async fn by_address(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    let view: Arc<BootView> = shared.view.load();
    let Some(address) = v4(peer) else {
        return (StatusCode::NOT_FOUND, "only IPv4 addresses are reserved\n").into_response();
    };
    let subject = view.by_address(address);
    answer(&shared, subject, subject.known().map(|target| target.mac), peer)
}

fn answer(shared: &Shared, subject: Lookup<'_>, mac: Option<Mac>, peer: SocketAddr) -> Response {
    let now = Timestamp::now();
    let decision = decide(subject, &shared.site, now);
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
            shared.tell(target.map(AsRef::as_ref), mac, peer, format!("script: {summary}"));
            (headers, script).into_response()
        }
        Ok(None) => {
            shared.tell(target.map(AsRef::as_ref), mac, peer, format!("script: {summary}"));
            (StatusCode::NOT_FOUND, format!("{summary}\n")).into_response()
        }
        Err(error) => {
            let machine = target.map(|target| target.name().to_owned());
            tracing::warn!(machine, %error, "no boot script");
            shared.tell(target.map(AsRef::as_ref), mac, peer, format!("script: {error}"));
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("gantry_boot_scripts_total", "status" => status).increment(1);
    response
}
