//! The task of one transfer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::outgoing::Outgoing;
use crate::engine::{Options, Outcome, Place, Transfer};

/// A client sends ACK and ERROR only.
const LONGEST: usize = 256;

/// What a transfer needs.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) content: Bytes,
    pub(crate) options: Options,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    pub(crate) local: IpAddr,
}

/// A transfer that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    pub(crate) text: String,
}

impl Session {
    pub(crate) async fn run(self) -> Ended {
        let started = Instant::now();
        let result = self.transfer(started).await;
        let Self {
            name,
            content,
            options,
            peer,
            place,
            ..
        } = self;
        let (size, milliseconds) = (content.len(), started.elapsed().as_millis());
        let text = match result {
            Ok(Outcome::Complete) => {
                let Options {
                    block_size, window, ..
                } = options;
                format!("{name}: {size} bytes in {milliseconds} ms (block {block_size}, window {window})")
            }
            Ok(Outcome::Aborted(text)) if options.size => {
                format!("{name}: the client asked for the size ({size} bytes) and ended the transfer: {text}")
            }
            Ok(Outcome::Aborted(text)) => format!("{name}: the client ended the transfer: {text}"),
            Ok(Outcome::Lost) => format!("{name}: the client fell silent after {milliseconds} ms"),
            Err(error) => format!("{name}: {error}"),
        };
        Ended { peer, place, text }
    }

    async fn transfer(&self, started: Instant) -> io::Result<Outcome> {
        // A port of its own, connected: nobody but the peer is heard, and the source is the address that was asked.
        let socket = UdpSocket::bind((self.local, 0)).await?;
        socket.connect(self.peer).await?;
        let (mut transfer, mut step) = Transfer::start(self.content.clone(), self.options, Duration::ZERO);
        let mut outgoing = Outgoing::new(&socket);
        let mut buffer = [0; LONGEST];
        loop {
            outgoing.send(&step.send).await?;
            if let Some(outcome) = step.outcome {
                return Ok(outcome);
            }
            let deadline = started + transfer.deadline();
            step = match tokio::time::timeout_at(deadline, socket.recv(&mut buffer)).await {
                Ok(received) => {
                    // A port unreachable message is the peer's way to say that it is gone.
                    let Ok(length) = received else {
                        return Ok(Outcome::Lost);
                    };
                    self.place.answered();
                    transfer.receive(buffer.get(..length).unwrap_or_default(), started.elapsed())
                }
                Err(_) => transfer.timeout(started.elapsed()),
            };
        }
    }
}
