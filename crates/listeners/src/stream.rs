//! A TCP stream that tells its [`Pace`] and its [`Place`] what moves.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::gate::Place;
use crate::limits::Limits;
use crate::pace::Pace;

/// Bytes that the kernel holds for a peer (it doubles the number). More would be memory of the appliance in the hands of a peer
/// that does not read; with less, progress of a slow peer shows too seldom.
const SEND_BUFFER: usize = 512 << 10;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    pace: Arc<Pace>,
    place: Arc<Place>,
}

impl Watched {
    /// Takes a stream over. A peer that is gone without a word is noticed by the kernel after the stall time.
    pub(crate) fn new(stream: TcpStream, limits: &Limits, pace: Arc<Pace>, place: Arc<Place>) -> Self {
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY);
        let set = [
            // Without it each small watch event waits for an acknowledgement.
            socket.set_tcp_nodelay(true),
            socket.set_tcp_keepalive(&keepalive),
            socket.set_tcp_user_timeout(Some(limits.stall_of(place.is_known()))),
            socket.set_send_buffer_size(SEND_BUFFER),
        ];
        for error in set.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "a socket option cannot be set");
        }
        Self { stream, pace, place }
    }

    /// Waits for the first byte, or for the end of the stream.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.pace.wrote(*bytes, Instant::now());
                self.place.touch();
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.pace.write_blocked(Instant::now()),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.place.touch();
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
