//! One UDP socket to one BMC, and waiting for an answer with repetitions and a limit.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ::ipmi::MAX_PACKET;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::connection::IpmiConnection;
use crate::Error;

/// When a request is sent again for the first time; each further pause is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(4);

/// Whether a request may be sent again while its answer is missing. What it asks for may have been done already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Yes,
    No,
}

/// A socket that hears one peer only.
#[derive(Debug)]
pub(super) struct Socket {
    inner: UdpSocket,
    host: String,
    limit: Duration,
}

/// What an exchange sends, and which datagram is the answer to it.
pub(super) trait Ask {
    type Answer;

    /// What the request is called in errors.
    fn name(&self) -> String;

    /// The next datagram to send; `None` if it cannot be made.
    fn datagram(&mut self) -> Option<Vec<u8>>;

    /// The answer, if this datagram is it. What is not meant for this request is passed over.
    fn accept(&mut self, datagram: &[u8]) -> Option<Self::Answer>;
}

impl Socket {
    pub(super) async fn connect(connection: &IpmiConnection) -> Result<Self, Error> {
        let host = connection.host.clone();
        let failed = |source: std::io::Error| unreachable(&host, "connect", source);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut found = tokio::net::lookup_host((bare, connection.port))
            .await
            .map_err(failed)?;
        let peer = found
            .next()
            .ok_or_else(|| failed(std::io::Error::other("the name has no address")))?;
        let any = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let inner = UdpSocket::bind(any).await.map_err(failed)?;
        inner.connect(peer).await.map_err(failed)?;
        Ok(Self {
            inner,
            host: host.clone(),
            limit: connection.timeout,
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Sends without waiting for anything. Used for what is a courtesy to the BMC.
    pub(super) fn send_now(&self, datagram: &[u8]) {
        if let Err(error) = self.inner.try_send(datagram) {
            tracing::debug!(bmc = %self.host, error = %error, "session left to expire");
        }
    }

    /// Sends, repeats where that is allowed, and waits for the answer.
    pub(super) async fn exchange<A: Ask>(&self, ask: &mut A, repeat: Repeat) -> Result<A::Answer, Error> {
        let end = Instant::now() + self.limit;
        let mut pause = FIRST;
        loop {
            let again = match repeat {
                Repeat::Yes => end.min(Instant::now() + pause),
                Repeat::No => end,
            };
            pause = LONGEST.min(pause * 2);
            let datagram = ask.datagram().ok_or_else(|| {
                unreachable(
                    &self.host,
                    &ask.name(),
                    std::io::Error::other("no packet can be made"),
                )
            })?;
            let failed = |source| unreachable(&self.host, &ask.name(), source);
            self.inner.send(&datagram).await.map_err(failed)?;
            match timeout_at(again, self.answer(ask)).await {
                Ok(answer) => return answer,
                Err(_) if again >= end => {
                    return Err(Error::Timeout {
                        host: self.host.clone(),
                        method: "IPMI".to_owned(),
                        path: ask.name(),
                        seconds: self.limit.as_secs(),
                    });
                }
                Err(_) => {}
            }
        }
    }

    async fn answer<A: Ask>(&self, ask: &mut A) -> Result<A::Answer, Error> {
        let mut buffer = [0; MAX_PACKET];
        loop {
            let length = self.inner.recv(&mut buffer).await;
            let length = length.map_err(|source| unreachable(&self.host, &ask.name(), source))?;
            let accepted = buffer.get(..length).and_then(|datagram| ask.accept(datagram));
            if let Some(answer) = accepted {
                return Ok(answer);
            }
        }
    }
}

fn unreachable(host: &str, name: &str, source: std::io::Error) -> Error {
    Error::Unreachable {
        host: host.to_owned(),
        method: "IPMI".to_owned(),
        path: name.to_owned(),
        source: Box::new(source),
    }
}
