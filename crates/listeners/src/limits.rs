//! Time and size limits of a connection.

use std::time::Duration;

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the accept to the end of the first request's head: first byte, TLS handshake and head together.
    pub first_request: Duration,
    /// Without an open request, until the connection is asked to end.
    pub idle: Duration,
    /// A stranger that takes none of what is waiting for it for so long is cut off.
    pub stall: Duration,
    /// The same for a known peer, which may have something else to do meanwhile: a machine zeroes a part of its disk.
    pub stall_known: Duration,
    /// From the head of a request to the end of its body.
    pub body: Duration,
    /// A stranger's connection is asked to end after so long; a running response goes on.
    pub lifetime: Duration,
    /// Between two pings of HTTP/2; a peer that answers none for as long again is gone.
    pub ping: Duration,
    /// Open requests of one HTTP/2 connection.
    pub streams: u32,
    /// Bytes of a request's head.
    pub head: u32,
}

impl Limits {
    /// How long a peer may take nothing.
    pub(crate) const fn stall_of(&self, known: bool) -> Duration {
        if known { self.stall_known } else { self.stall }
    }

    /// How often a connection is looked at: often enough for the shortest limit.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = self.first_request.min(self.idle).min(self.stall);
        (shortest / 4).max(Duration::from_millis(5))
    }
}
