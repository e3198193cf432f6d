//! A plain-HTTP listener with limits: connections in all and for one address, size and time of a request's head.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

const TOTAL: usize = 2048;
const PER_ADDRESS: usize = 16;
const HEADERS: usize = 64;
const HEAD: usize = 16 << 10;
const HEAD_TIME: Duration = Duration::from_secs(10);
/// What running responses get when the service stops.
const GRACE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` until `cancel`, then lets running responses end for 3 s. Handlers see `ConnectInfo<SocketAddr>`.
pub async fn run_http(listener: TcpListener, router: Router, cancel: CancellationToken) {
    let router = router.layer(CatchPanicLayer::new());
    let counts = Arc::new(Counts::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < TOTAL => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = Counts::enter(&counts, peer.ip()) else {
                    metrics::counter!("gantry_http_refused_total").increment(1);
                    continue;
                };
                connections.spawn(serve(stream, peer, router.clone(), cancel.clone(), place));
            }
            Err(error) => {
                // For example out of file descriptors: connections that end make room.
                tracing::warn!(%error, "HTTP listener does not accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, cancel: CancellationToken, place: Place) {
    let _place = place;
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(peer))));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS)
        .max_buf_size(HEAD.saturating_mul(4));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, error, "HTTP connection ended");
                }
                return;
            }
            () = cancel.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Connections of each address.
#[derive(Debug, Default)]
struct Counts(Mutex<HashMap<IpAddr, usize>>);

/// One counted connection.
#[derive(Debug)]
struct Place {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Counts {
    fn enter(counts: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut table = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = table.entry(address).or_insert(0);
        if *count >= PER_ADDRESS {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            counts: Arc::clone(counts),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = table.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.remove(&self.address);
            }
        }
    }
}
