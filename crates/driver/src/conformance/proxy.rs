//! A proxy between driver and provider that counts requests, loses them, answers in the provider's place, and ends the
//! driver at a request. HTTP without TLS, by TCP or on a unix socket.

mod endpoint;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::HOST;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::task::AbortHandle;

use endpoint::{Listener, Upstream};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The driver is killed and the provider sees nothing.
    KilledBefore,
    /// The provider carries it out, and the driver is killed before it learns of that.
    KilledAfter,
    /// The provider carries it out, and the connection breaks.
    ReplyLost,
    /// The provider does not see it.
    Answered(StatusCode, &'static str, &'static str),
}

/// Requests that meet a fate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Number of the first one, from 0.
    pub(super) from: u32,
    /// How many.
    pub(super) count: u32,
    pub(super) fate: Fate,
}

#[derive(Debug, Default)]
struct Script {
    requests: u32,
    rule: Option<Rule>,
    victim: Option<u32>,
}

/// A proxy that runs.
#[derive(Debug)]
pub(super) struct Proxy {
    url: String,
    script: Arc<Mutex<Script>>,
    server: AbortHandle,
}

impl Proxy {
    /// In front of `http://HOST:PORT` or `unix://PATH`. A unix socket of its own is in the directory.
    pub(super) async fn start(upstream: &str, directory: &Path) -> Result<Self, String> {
        let upstream: Upstream = upstream.parse()?;
        let (listener, url) = Listener::beside(&upstream, directory).await?;
        let script = Arc::new(Mutex::new(Script::default()));
        let server = tokio::spawn(serve(listener, upstream, script.clone()));
        Ok(Self {
            url,
            script,
            server: server.abort_handle(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Counts from 0 again, with another rule; `victim` is the process to be killed.
    pub(super) fn follow(&self, rule: Option<Rule>, victim: Option<u32>) {
        *locked(&self.script) = Script {
            requests: 0,
            rule,
            victim,
        };
    }

    /// Requests since the last rule.
    pub(super) fn requests(&self) -> u32 {
        locked(&self.script).requests
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn locked(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    fn next(&mut self) -> Option<Fate> {
        let number = self.requests;
        self.requests = number.saturating_add(1);
        let rule = self.rule?;
        let meets = number >= rule.from && number - rule.from < rule.count;
        meets.then_some(rule.fate)
    }

    fn kill(&self) {
        let Some(group) = self.victim.and_then(|pid| i32::try_from(pid).ok()) else {
            return;
        };
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

async fn serve(listener: Listener, upstream: Upstream, script: Arc<Mutex<Script>>) {
    while let Ok(stream) = listener.accept().await {
        let (upstream, script) = (upstream.clone(), script.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| pass(request, &upstream, &script));
            // A connection that breaks is what many cases are about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// An error closes the connection without an answer.
async fn pass(
    request: Request<Incoming>,
    upstream: &Upstream,
    script: &Mutex<Script>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let fate = locked(script).next();
    match fate {
        Some(Fate::KilledBefore) => {
            locked(script).kill();
            return Err("killed before the request was sent".into());
        }
        Some(Fate::Answered(status, kind, body)) => {
            let answer = Response::builder().status(status).header("content-type", kind);
            return Ok(answer
                .header("location", "http://elsewhere.invalid/")
                .body(body.into())?);
        }
        _ => {}
    }
    let response = forward(request, upstream).await?;
    match fate {
        Some(Fate::KilledAfter) => {
            locked(script).kill();
            Err("killed before the reply".into())
        }
        Some(Fate::ReplyLost) => Err("the reply is lost".into()),
        _ => Ok(response),
    }
}

async fn forward(
    request: Request<Incoming>,
    upstream: &Upstream,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    if let Some(host) = upstream.host() {
        parts.headers.insert(HOST, HeaderValue::from_str(host)?);
    }
    let stream = upstream.connect().await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender
        .send_request(Request::from_parts(parts, Full::new(body)))
        .await?;
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(
        parts,
        Full::new(body.collect().await?.to_bytes()),
    ))
}
