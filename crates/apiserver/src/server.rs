//! The TLS listener: identity from a verified client certificate, limits on what is under way.
//!
//! Clients in the process do not come through here, so no load from outside holds a controller up.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use hyper::service::service_fn;
use listeners::{Gate, Limits, Peer, RequestBody, Shares};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::authn::Identity;
use crate::metrics;
use crate::service::{ListenerEnd, Router};
use crate::status::ApiError;
use crate::wire::body::Body;
use crate::wire::negotiate;

/// Places of the listener. Whoever is not on this machine is a stranger until a login.
pub const SHARES: Shares = Shares {
    total: 1024,
    strangers: 256,
    per_stranger: 32,
    per_known: 256,
    quiet: Duration::from_secs(2),
};

const LIMITS: Limits = Limits {
    first_request: Duration::from_secs(10),
    // Longer than clients keep an idle connection (90 s), so that it is theirs to close it.
    idle: Duration::from_secs(120),
    stall: Duration::from_secs(30),
    stall_known: Duration::from_secs(30),
    body: Duration::from_secs(60),
    lifetime: Duration::from_secs(60 * 60),
    ping: Duration::from_secs(20),
    streams: 100,
    head: 64 << 10,
};

/// What requests may take together.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Requests that are being answered, until their response is written.
    requests: usize,
    /// Open watches.
    watches: usize,
    /// Longest time of a request that is no watch, as in kube-apiserver.
    time: Duration,
}

const LOAD: Load = Load {
    requests: 400,
    watches: 4096,
    time: Duration::from_secs(60),
};

/// Serves until cancelled; then open requests get a few seconds to end.
pub async fn serve_tls(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    gate: Gate,
    router: Router,
    cancel: CancellationToken,
) {
    let bounded = Bounded::new(router, LOAD);
    let end = ListenerEnd(cancel.clone());
    let service = move |peer: Peer<'_>| {
        let identity = peer
            .certificates
            .first()
            .and_then(|certificate| Identity::from_certificate(certificate));
        if identity.is_some() {
            peer.voucher.vouch();
        }
        let (bounded, end, voucher) = (bounded.clone(), end.clone(), peer.voucher);
        Some(service_fn(move |mut request: Request<RequestBody>| {
            let extensions = request.extensions_mut();
            extensions.insert(end.clone());
            // For a login by token, which only the router sees.
            extensions.insert(voucher.clone());
            if let Some(identity) = &identity {
                extensions.insert(identity.clone());
            }
            let bounded = bounded.clone();
            async move { Ok::<_, Infallible>(bounded.answer(request).await) }
        }))
    };
    listeners::run_tls(listener, config, gate, LIMITS, service, cancel).await;
}

/// The router behind the listener's bounds.
#[derive(Debug, Clone)]
struct Bounded {
    router: Router,
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    time: Duration,
}

impl Bounded {
    fn new(router: Router, load: Load) -> Bounded {
        Bounded {
            router,
            requests: Arc::new(Semaphore::new(load.requests)),
            watches: Arc::new(Semaphore::new(load.watches)),
            time: load.time,
        }
    }

    async fn answer<B>(mut self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Ok(place) = self.requests.try_acquire_owned() else {
            return refused("requests");
        };
        let Ok(answered) = tokio::time::timeout(self.time, self.router.call(request)).await else {
            return negotiate::failure(&ApiError::timeout(self.time));
        };
        let Ok(response) = answered;
        // The head of a watch comes at once, so its life is not bound by the time; a complete body keeps its place until it is
        // written, because it is in memory so long.
        if response.body().size_hint().exact().is_some() {
            return response.map(|body| body.keeping(place));
        }
        match self.watches.try_acquire_owned() {
            Ok(watch) => response.map(|body| body.keeping(watch)),
            Err(_) => refused("watches"),
        }
    }
}

fn refused(what: &'static str) -> Response<Body> {
    metrics::refused(what);
    negotiate::failure(&ApiError::too_many_requests())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode, header};
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::{AesGcmSealer, ApiServer, Config};

    fn request(uri: &str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.parse().unwrap();
        request.extensions_mut().insert(Identity::admin("test"));
        request
    }

    async fn server(folder: &tempfile::TempDir, admission: Vec<crate::Admit>) -> ApiServer {
        let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
        let mut config = Config::new(folder.path().join("state.db"), sealer);
        config.admission = admission;
        ApiServer::open(config).await.unwrap()
    }

    const NAMESPACES: &str = "/api/v1/namespaces";
    const WATCH: &str = "/api/v1/namespaces?watch=true";

    #[tokio::test]
    async fn what_is_under_way_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(&folder, Vec::new()).await;
        let load = Load {
            requests: 2,
            watches: 1,
            ..LOAD
        };
        let bounded = Bounded::new(server.router(), load);
        let answer = |uri: &str| bounded.clone().answer(request(uri));
        let first = answer(NAMESPACES).await;
        let _second = answer(NAMESPACES).await;
        let refused = answer(NAMESPACES).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let again = |headers: &HeaderMap| headers.get(header::RETRY_AFTER).cloned().unwrap();
        assert_eq!(again(refused.headers()), "1");
        // A response that was written makes room.
        first.into_body().collect().await.unwrap();
        let watch = answer(WATCH).await;
        assert_eq!(watch.status(), StatusCode::OK);
        assert_eq!(answer(WATCH).await.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer(NAMESPACES).await.status(), StatusCode::OK);
        drop(watch);
        assert_eq!(answer(WATCH).await.status(), StatusCode::OK);
        server.close().await;
    }

    #[tokio::test]
    async fn a_request_that_hangs_ends_and_a_watch_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(&folder, Vec::new()).await;
        let load = Load {
            time: Duration::from_millis(200),
            ..LOAD
        };
        let bounded = Bounded::new(server.router(), load);
        // A body that never comes.
        let body = http_body_util::StreamBody::new(futures::stream::pending::<
            Result<http_body::Frame<Bytes>, Infallible>,
        >());
        let mut hanging = request(NAMESPACES).map(|_| body);
        *hanging.method_mut() = http::Method::POST;
        let response = bounded.clone().answer(hanging).await;
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let mut watch = bounded.clone().answer(request(WATCH)).await.into_body();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), watch.frame()).await {
            event.unwrap();
        }
        assert!(!watch.is_end_stream());
        server.close().await;
    }

    #[tokio::test]
    async fn a_request_that_panics_takes_only_itself_down() {
        let folder = tempfile::tempdir().unwrap();
        let admit: crate::Admit = |_, object| {
            assert_ne!(object["metadata"]["name"], "bad", "a defect");
            Ok(Vec::new())
        };
        let server = server(&folder, vec![admit]).await;
        let bounded = Bounded::new(server.router(), LOAD);
        let create = |name: &str| {
            let text = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}"#);
            let mut create = request(NAMESPACES).map(|_| Full::new(Bytes::from(text)));
            *create.method_mut() = http::Method::POST;
            let json = header::HeaderValue::from_static("application/json");
            create.headers_mut().insert(header::CONTENT_TYPE, json);
            bounded.clone().answer(create)
        };
        let response = create("bad").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.starts_with(b"{"), "{text:?}");
        assert_eq!(create("good").await.status(), StatusCode::CREATED);
        server.close().await;
    }
}
