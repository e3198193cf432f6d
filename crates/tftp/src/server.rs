//! Sockets and limits around the engine: one task and one port for each transfer.

mod session;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use boot_script::{EventSender, ViewHandle};
use bytes::Bytes;
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind};
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::engine::{Options, Packet, Problem, ReadRequest, error_packet};
use crate::error::Error;
use crate::files::Files;
use session::{Ended, Session};

/// Transfers at once from one address, and in all.
const PER_ADDRESS: usize = 4;
const TOTAL: usize = 1024;
/// Longest request that is read.
const LONGEST: usize = 1024;
const PAUSE: Duration = Duration::from_millis(500);

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen: `tinkerbellIP` and port 69. Transfers answer from the same address.
    pub address: SocketAddr,
    /// What is served.
    pub files: Files,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Names the machine of a peer's address.
    pub view: Arc<ViewHandle>,
    /// Where transfers are told.
    pub events: EventSender,
}

/// The TFTP server.
#[derive(Debug)]
pub struct Server {
    socket: UdpSocket,
    files: Files,
}

#[derive(Debug)]
struct Running {
    request: Vec<u8>,
    task: AbortHandle,
}

/// Transfers under way, by peer.
#[derive(Debug, Default)]
struct Transfers {
    tasks: JoinSet<Ended>,
    by_peer: HashMap<SocketAddr, Running>,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// If it is taken or not permitted.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let address = config.address;
        let socket = UdpSocket::bind(address)
            .await
            .map_err(|source| Error::Bind { address, source })?;
        Ok(Self {
            socket,
            files: config.files,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `cancel`; running transfers end with it.
    pub async fn run(self, deps: Deps, cancel: CancellationToken) {
        let mut transfers = Transfers::default();
        let mut buffer = [0; LONGEST];
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(ended) = transfers.tasks.join_next() => match ended {
                    Ok(ended) => {
                        transfers.by_peer.remove(&ended.peer);
                        tell(&deps, ended.peer, &ended.text);
                    }
                    Err(error) if error.is_panic() => {
                        transfers.by_peer.retain(|_, running| !running.task.is_finished());
                        metrics::counter!("gantry_tftp_panics_total").increment(1);
                        tracing::error!("a TFTP transfer panicked; its client was left alone");
                    }
                    // Replaced by a newer request of the same peer, which is in the table now.
                    Err(_) => {}
                },
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, peer)) => {
                        let datagram = buffer.get(..length).unwrap_or_default();
                        self.request(datagram, peer, &mut transfers, &deps).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "TFTP socket does not receive");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    async fn request(&self, datagram: &[u8], peer: SocketAddr, transfers: &mut Transfers, deps: &Deps) {
        let refuse = async |problem, text: &str| {
            // Nobody waits for the answer to a refused request.
            let _ = self.socket.send_to(&error_packet(problem, text), peer).await;
            tell(deps, peer, text);
        };
        let request = match Packet::read(datagram) {
            Some(Packet::Read(request)) => request,
            Some(Packet::Write) => return refuse(Problem::Denied, "writing is not possible").await,
            Some(Packet::Ack(_) | Packet::Error(..)) | None => {
                metrics::counter!("gantry_tftp_refused_total").increment(1);
                return;
            }
        };
        if let Some(running) = transfers.by_peer.get(&peer) {
            if running.request == datagram {
                // The client repeats itself because the first answer is still on its way.
                return;
            }
            running.task.abort();
            transfers.by_peer.remove(&peer);
        }
        if !request.octet {
            return refuse(Problem::Illegal, "only mode octet is served").await;
        }
        let Some((name, content)) = self.files.find(&request.name) else {
            return refuse(
                Problem::NotFound,
                &format!("no such file: {}", printable(&request)),
            )
            .await;
        };
        let of_address = transfers
            .by_peer
            .keys()
            .filter(|other| other.ip() == peer.ip())
            .count();
        if of_address >= PER_ADDRESS || transfers.by_peer.len() >= TOTAL {
            metrics::counter!("gantry_tftp_refused_total").increment(1);
            tracing::warn!(%peer, "too many TFTP transfers; the request is ignored");
            return;
        }
        let task = self.start(name, content, request.options, peer, &mut transfers.tasks);
        transfers.by_peer.insert(
            peer,
            Running {
                request: datagram.to_vec(),
                task,
            },
        );
    }

    fn start(
        &self,
        name: &str,
        content: &Bytes,
        options: Options,
        peer: SocketAddr,
        tasks: &mut JoinSet<Ended>,
    ) -> AbortHandle {
        metrics::counter!("gantry_tftp_transfers_total").increment(1);
        let local = self
            .socket
            .local_addr()
            .map_or_else(|_| IpAddr::from([0, 0, 0, 0]), |address| address.ip());
        let session = Session {
            name: name.to_owned(),
            content: content.clone(),
            options,
            peer,
            local,
        };
        tasks.spawn(session.run())
    }
}

fn printable(request: &ReadRequest) -> String {
    request.name.chars().filter(char::is_ascii_graphic).collect()
}

fn tell(deps: &Deps, peer: SocketAddr, text: &str) {
    let peer = deps.view.load().peer(peer.ip());
    tracing::debug!(peer = %peer.address(), text, "TFTP");
    let event = BootEvent {
        kind: BootEventKind::Tftp,
        mac: None,
        peer: Some(peer.address().to_string()),
        text: text.to_owned(),
    };
    let target = peer.target().map(AsRef::as_ref);
    deps.events.send(target, Timestamp::now(), event);
}
