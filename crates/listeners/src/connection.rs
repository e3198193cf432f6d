//! One connection from its first byte to its end.

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tokio_util::sync::CancellationToken;

use crate::body::{RequestBody, ResponseBody};
use crate::gate::Place;
use crate::limits::Limits;
use crate::metrics;
use crate::pace::{Overdue, Pace};
use crate::sending::Sending;
use crate::served_file::ServedFile;
use crate::writer::SMALL;

/// Smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8192;
/// Bytes that HTTP/2 holds of one response.
const SEND_BUFFER: usize = 128 << 10;
/// Header fields of a request of HTTP/1.1.
const FIELDS: usize = 64;
/// A connection that was asked to end gets so long without an open request.
const GRACE: Duration = Duration::from_secs(2);

/// What belongs to a connection beside its stream.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) limits: Limits,
    pub(crate) pace: Arc<Pace>,
    pub(crate) place: Arc<Place>,
    pub(crate) sending: Arc<Sending>,
    pub(crate) cancel: CancellationToken,
}

/// How a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// At once.
    Now,
    /// When what is open is answered.
    Finish,
}

/// A service of [`crate::run_http`] and [`crate::run_tls`]: any hyper service whose parts may move between threads.
pub trait Serve:
    Service<
        Request<RequestBody>,
        Response = Response<Self::Body>,
        Error = Self::Failure,
        Future = Self::Answer,
    > + Send
    + Sync
    + 'static
{
    /// Body of its responses.
    type Body: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static;
    /// Its error, which ends the connection.
    type Failure: Into<Box<dyn Error + Send + Sync>>;
    /// Its answer.
    type Answer: Future<Output = Result<Response<Self::Body>, Self::Failure>> + Send + 'static;
}

impl<S, B> Serve for S
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    type Body = B;
    type Failure = S::Error;
    type Answer = S::Future;
}

/// Counts the requests of a connection around its service.
struct Counted<S> {
    inner: S,
    pace: Arc<Pace>,
    sending: Arc<Sending>,
    body: Duration,
}

impl<S: Serve> Service<Request<Incoming>> for Counted<S> {
    type Response = Response<ResponseBody<S::Body>>;
    type Error = S::Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Pace::request(&self.pace);
        let limit = self.body;
        let closes = closes(&request);
        let answer = self.inner.call(request.map(|body| RequestBody::new(body, limit)));
        let sending = self.sending.clone();
        Box::pin(async move {
            let mut response = answer.await?;
            let file = response.extensions_mut().remove::<Arc<ServedFile>>();
            // Complete when it is written, so the end of the stream follows at once.
            let short = |bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes <= SMALL);
            let last = closes && response.body().size_hint().exact().is_some_and(short);
            sending.set(file, last);
            Ok(response.map(|body| ResponseBody::new(body, open)))
        })
    }
}

/// Whether the peer wants the connection to end with this answer.
fn closes<B>(request: &Request<B>) -> bool {
    let asked = request.headers().get(header::CONNECTION);
    request.version() == Version::HTTP_11
        && asked.is_some_and(|asked| asked.as_bytes().eq_ignore_ascii_case(b"close"))
}

impl Connection {
    /// Runs something before the first request: within its time, and only as long as the place is ours.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = T>,
        ending: Pin<&mut impl Future<Output = Ending>>,
    ) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = ending => None,
        }
    }

    /// Serves HTTP/1.1.
    pub(crate) async fn http1<I, S>(
        &self,
        stream: I,
        service: S,
        ending: Pin<&mut impl Future<Output = Ending>>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Serve,
    {
        let head = usize::try_from(self.limits.head).unwrap_or(SMALLEST_BUFFER);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // The connection's own supervision covers the head of each request.
            .header_read_timeout(None)
            .max_headers(FIELDS)
            .max_buf_size(head.max(SMALLEST_BUFFER));
        let connection = builder.serve_connection(TokioIo::new(stream), self.counted(service));
        self.drive(connection, ending).await;
    }

    /// Serves HTTP/2.
    pub(crate) async fn http2<I, S>(
        &self,
        stream: I,
        service: S,
        ending: Pin<&mut impl Future<Output = Ending>>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Serve,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.ping)
            .keep_alive_timeout(self.limits.ping)
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(self.limits.head)
            .max_send_buf_size(SEND_BUFFER);
        let connection = builder.serve_connection(TokioIo::new(stream), self.counted(service));
        self.drive(connection, ending).await;
    }

    fn counted<S>(&self, service: S) -> Counted<S> {
        Counted {
            inner: service,
            pace: self.pace.clone(),
            sending: self.sending.clone(),
            body: self.limits.body,
        }
    }

    async fn drive<C>(&self, connection: C, ending: Pin<&mut impl Future<Output = Ending>>)
    where
        C: GracefulConnection,
        C::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut connection = pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return log_end(result),
            ending = ending => match ending {
                Ending::Now => return,
                Ending::Finish => connection.as_mut().graceful_shutdown(),
            }
        }
        tokio::select! {
            result = connection => log_end(result),
            () = self.cut_off() => {}
        }
    }

    /// Waits until the connection has to end. One call watches it from its first byte on.
    pub(crate) async fn ending(&self) -> Ending {
        let tick = self.limits.tick();
        let mut ticks = interval_at(Instant::now() + tick, tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut evicted = pin!(self.place.evicted());
        let mut cancelled = pin!(self.cancel.cancelled());
        loop {
            tokio::select! {
                () = evicted.as_mut() => return Ending::Now,
                () = cancelled.as_mut() => return Ending::Finish,
                _ = ticks.tick() => {}
            }
            let overdue = self
                .pace
                .overdue(&self.limits, self.place.is_known(), Instant::now());
            if let Some(overdue) = overdue {
                let listener = self.place.listener();
                metrics::expired(listener, overdue);
                return match overdue {
                    Overdue::NoRequest | Overdue::Stalled => Ending::Now,
                    Overdue::Idle | Overdue::Old => Ending::Finish,
                };
            }
        }
    }

    /// Waits until a connection that was asked to end has to be cut off.
    async fn cut_off(&self) {
        let mut ticks = interval(self.limits.tick());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle = None;
        loop {
            tokio::select! {
                () = self.place.evicted() => return,
                _ = ticks.tick() => {}
            }
            let now = Instant::now();
            if self.pace.overdue(&self.limits, self.place.is_known(), now) == Some(Overdue::Stalled) {
                return;
            }
            if !self.pace.is_idle() {
                idle = None;
            } else if now.saturating_duration_since(*idle.get_or_insert(now)) >= GRACE {
                return;
            }
        }
    }
}

fn log_end<E: Into<Box<dyn Error + Send + Sync>>>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(error = %error.into(), "a connection ended early");
    }
}
