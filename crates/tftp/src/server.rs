//! Sockets and limits around the engine: one task and one port for each transfer.

mod outgoing;
mod session;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use boot_script::{BootTarget, Bucket, EventSender, Rate, ViewHandle};
use bytes::Bytes;
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind};
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::engine::{
    Admission, Limits, Options, Packet, Place, Places, Problem, ReadRequest, Standing, error_packet,
};
use crate::error::Error;
use crate::files::Files;
use crate::metrics;
use session::{Ended, Session};

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
    /// Where transfers are recorded.
    pub events: EventSender,
}

/// The TFTP server.
#[derive(Debug)]
pub struct Server {
    socket: UdpSocket,
    files: Files,
}

/// Transfers under way, and the rates of what strangers may cause.
#[derive(Debug)]
struct Transfers {
    tasks: JoinSet<Ended>,
    places: Places<AbortHandle>,
    starts: Limited,
    refusals: Limited,
    warnings: Limited,
    /// Requests that got no place since the last warning.
    refused: u64,
}

/// A rate and how much of it is used up.
#[derive(Debug)]
struct Limited(Rate, Bucket);

impl Limited {
    fn new(rate: Rate) -> Self {
        Self(rate, Bucket::default())
    }

    fn allows(&mut self) -> bool {
        self.1.take(self.0, Timestamp::now())
    }
}

impl Transfers {
    fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            places: Places::new(Limits::default()),
            // Each start of a made-up peer costs the kernel an ARP request and, for some seconds, one of a thousand
            // entries of its neighbour table.
            starts: Limited::new(Rate::per_second(100, 256)),
            refusals: Limited::new(Rate::per_second(100, 200)),
            warnings: Limited::new(Rate::new(Duration::from_secs(10), 1)),
            refused: 0,
        }
    }

    fn count_refused(&mut self, peer: SocketAddr) {
        metrics::refused(1);
        self.refused = self.refused.saturating_add(1);
        if self.warnings.allows() {
            let requests = std::mem::take(&mut self.refused);
            tracing::warn!(%peer, requests, "more TFTP requests than there are places; the last is of this peer");
        }
    }
}

/// A file that is served, and how.
struct Wanted<'a> {
    name: &'a str,
    content: &'a Bytes,
    options: Options,
}

/// Who asks.
struct Client {
    peer: SocketAddr,
    target: Option<Arc<BootTarget>>,
}

impl Client {
    fn standing(&self) -> Standing {
        match self.target {
            Some(_) => Standing::Known,
            None => Standing::Stranger,
        }
    }
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
        let mut transfers = Transfers::new();
        let mut buffer = [0; LONGEST];
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(ended) = transfers.tasks.join_next() => match ended {
                    Ok(ended) => {
                        transfers.places.ended(&ended.place);
                        report(&deps, &deps.client(ended.peer), &ended.text);
                    }
                    Err(error) if error.is_panic() => {
                        transfers.places.retain(|task| !task.is_finished());
                        metrics::panicked(1);
                        tracing::error!("a TFTP transfer panicked; its client was left alone");
                    }
                    // It lost its place, which is somebody else's now.
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
        let request = Packet::read(datagram);
        let client = deps.client(peer);
        let wanted = match request {
            Some(Packet::Read(request)) => self.wanted(request),
            Some(Packet::Write) => Err((Problem::Denied, "writing is not possible".to_owned())),
            Some(Packet::Ack(_) | Packet::Error(..)) | None => {
                metrics::refused(1);
                return;
            }
        };
        match wanted {
            Ok(wanted) => self.start(wanted, datagram, &client, transfers, deps).await,
            Err((problem, text)) => self.refuse(problem, &text, &client, transfers, deps).await,
        }
    }

    fn wanted(&self, request: ReadRequest) -> Result<Wanted<'_>, (Problem, String)> {
        if !request.octet {
            return Err((Problem::Illegal, "only mode octet is served".to_owned()));
        }
        match self.files.find(&request.name) {
            Some((name, content)) => Ok(Wanted {
                name,
                content,
                options: request.options,
            }),
            None => Err((Problem::NotFound, format!("no such file: {}", request.name))),
        }
    }

    async fn start(
        &self,
        wanted: Wanted<'_>,
        datagram: &[u8],
        client: &Client,
        transfers: &mut Transfers,
        deps: &Deps,
    ) {
        let (peer, standing) = (client.peer, client.standing());
        if standing == Standing::Stranger && !transfers.starts.allows() {
            // A client that exists asks again in a second or two.
            transfers.count_refused(peer);
            return;
        }
        let (place, displaced) = match transfers.places.admit(peer, standing, datagram) {
            Admission::Place(place, displaced) => (Some(place), displaced),
            Admission::Full(displaced) => (None, displaced),
            Admission::Repeated => return,
        };
        for task in displaced {
            task.abort();
            metrics::displaced(1);
        }
        let Some(place) = place else {
            transfers.count_refused(peer);
            let text = "every place for a transfer is taken; ask again later";
            self.refuse(Problem::Other, text, client, transfers, deps).await;
            return;
        };
        let task = transfers
            .tasks
            .spawn(self.session(wanted, peer, place.clone()).run());
        transfers.places.take(place, standing, datagram, task);
    }

    fn session(&self, wanted: Wanted<'_>, peer: SocketAddr, place: Place) -> Session {
        metrics::transfers(1);
        let local = self
            .socket
            .local_addr()
            .map_or_else(|_| IpAddr::from([0, 0, 0, 0]), |address| address.ip());
        Session {
            name: wanted.name.to_owned(),
            content: wanted.content.clone(),
            options: wanted.options,
            peer,
            place,
            local,
        }
    }

    async fn refuse(
        &self,
        problem: Problem,
        text: &str,
        client: &Client,
        transfers: &mut Transfers,
        deps: &Deps,
    ) {
        if client.standing() == Standing::Known || transfers.refusals.allows() {
            // Nobody waits for the answer to a refused request.
            let _ = self
                .socket
                .send_to(&error_packet(problem, text), client.peer)
                .await;
        }
        report(deps, client, text);
    }
}

impl Deps {
    fn client(&self, peer: SocketAddr) -> Client {
        let target = self.view.load().peer(peer.ip()).target().cloned();
        Client { peer, target }
    }
}

fn report(deps: &Deps, client: &Client, text: &str) {
    tracing::debug!(peer = %client.peer, text, "TFTP");
    let event = BootEvent {
        kind: BootEventKind::Tftp,
        mac: None,
        peer: Some(client.peer.ip().to_string()),
        text: text.to_owned(),
    };
    deps.events
        .send(client.target.as_deref(), Timestamp::now(), event);
}
