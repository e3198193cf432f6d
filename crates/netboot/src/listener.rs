//! The plain-HTTP listener of everything that machines fetch before they have a certificate.

use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use listeners::{Gate, Limits, Peer, RequestBody, Shares};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

/// Places of the listeners that share one [`Gate`].
pub const SHARES: Shares = Shares {
    total: 2048,
    strangers: 512,
    per_stranger: 16,
    per_known: 16,
    quiet: Duration::from_secs(2),
};

const LIMITS: Limits = Limits {
    first_request: Duration::from_secs(10),
    idle: Duration::from_secs(15),
    stall: Duration::from_secs(30),
    stall_known: Duration::from_secs(10 * 60),
    body: Duration::from_secs(10),
    lifetime: Duration::from_secs(60 * 60),
    ping: Duration::from_secs(20),
    streams: 1,
    head: 16 << 10,
};

/// Serves `router` until `cancel`, then lets running responses end for 3 s. Handlers see `ConnectInfo<SocketAddr>`.
pub async fn run_http(listener: TcpListener, gate: Gate, router: Router, cancel: CancellationToken) {
    let router = router.layer(CatchPanicLayer::new());
    let service = move |peer: Peer<'_>| {
        let (router, address) = (router.clone(), peer.address);
        Some(hyper::service::service_fn(
            move |mut request: Request<RequestBody>| {
                request.extensions_mut().insert(ConnectInfo(address));
                router.clone().oneshot(request)
            },
        ))
    };
    listeners::run_http(listener, gate, LIMITS, service, cancel).await;
}
