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
use crate::pace::Pace;
use crate::sending::Sending;
use crate::turns::OwnTurns;
use crate::writer::{Wait, Writer};

/// Bytes that the kernel holds for a peer (it doubles the number). More would be memory of the appliance in the hands of a peer
/// that does not read; with less, progress of a slow peer shows too seldom.
const SEND_BUFFER: usize = 512 << 10;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    writer: Writer,
    pace: Arc<Pace>,
    place: Arc<Place>,
}

/// Sets what every connection needs. Connections inherit it from their listener, which saves as many system calls for each.
pub(crate) fn set_options(socket: &SockRef<'_>) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    log(socket.set_send_buffer_size(SEND_BUFFER));
    log(socket.set_tcp_keepalive(&keepalive));
    // Without it each small watch event waits for an acknowledgement.
    log(socket.set_tcp_nodelay(true));
}

/// After how long the kernel notices that a silent peer is gone.
pub(crate) fn set_stall(socket: &SockRef<'_>, stall: Duration) {
    log(socket.set_tcp_user_timeout(Some(stall)));
}

fn log(set: io::Result<()>) {
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option cannot be set");
    }
}

impl Watched {
    /// Takes a stream over.
    pub(crate) fn new(stream: TcpStream, pace: Arc<Pace>, place: Arc<Place>, sending: Arc<Sending>) -> Self {
        let writer = Writer::new(OwnTurns::new(place.turns(), place.is_known()), sending);
        Self {
            stream,
            writer,
            pace,
            place,
        }
    }

    /// Waits for the first byte, or for the end of the stream.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    fn write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.writer.poll_write(cx, &mut self.stream, parts) {
            Ok(result) => {
                if let Ok(bytes) = result {
                    self.pace.wrote(bytes, Instant::now());
                    self.place.touch();
                }
                Poll::Ready(result)
            }
            Err(Wait::Peer) => {
                self.pace.write_blocked(Instant::now());
                Poll::Pending
            }
            Err(Wait::Turn) => {
                self.pace.write_unblocked();
                Poll::Pending
            }
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
        self.write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection is dropped next, which ends the stream without another system call.
        Poll::Ready(Ok(()))
    }
}
