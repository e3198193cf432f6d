//! Sockets around the engine: one UDP/67 socket per interface, batches with one commit, and the advertiser.

mod advertiser;
mod frames;
mod leases;
mod networks;
mod socket;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use boot_script::{EventSender, SiteSettings, ViewHandle};
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind, Mac, printable};
use store::records::{NewRecord, Records, Ring};
use tokio_util::sync::CancellationToken;

pub use advertiser::RouterAdvertiser;

use crate::engine::{Action, Arrival, Lease, MessageType, Outcome, Reply, Transactions, answer};
use crate::error::Error;
use frames::Frames;
use leases::{Leases, recorded_end};
use networks::Networks;
use socket::DhcpSocket;

/// Packets that are answered together: one commit for all their leases.
const BATCH: usize = 512;
/// Pause after an error of the socket, such as an interface that is down.
const PAUSE: Duration = Duration::from_millis(500);

/// Settings of the service on one interface.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the interface.
    pub interface: String,
    /// The site; replies come from its `server_address`.
    pub site: SiteSettings,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Whom to serve.
    pub view: Arc<ViewHandle>,
    /// Where leases are committed.
    pub records: Records,
    /// Where everything else that happens is recorded.
    pub events: EventSender,
}

/// The DHCP server of one interface.
#[derive(Debug)]
pub struct Server {
    socket: DhcpSocket,
    interface: String,
    site: SiteSettings,
}

/// What the service remembers from batch to batch.
#[derive(Debug)]
struct Memory {
    frames: Frames,
    networks: Networks,
    transactions: Transactions,
    leases: Leases,
}

/// ACKs that wait for the commit of their leases.
#[derive(Debug, Default)]
struct Waiting {
    records: Vec<NewRecord>,
    leases: HashMap<Mac, Lease>,
    replies: Vec<Reply>,
}

impl Server {
    /// Takes UDP port 67 of the interface. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If the interface does not exist or the port is taken or not permitted.
    pub fn bind(config: Config) -> Result<Self, Error> {
        let Config { interface, site } = config;
        let socket = DhcpSocket::bind(&interface, site.server_address)?;
        Ok(Self {
            socket,
            interface,
            site,
        })
    }

    /// Serves until `cancel`.
    pub async fn run(self, deps: Deps, cancel: CancellationToken) {
        let mut memory = Memory {
            frames: Frames::new(&self.interface),
            networks: Networks::new(&self.interface, &self.site),
            transactions: Transactions::default(),
            leases: Leases::default(),
        };
        loop {
            let batch = tokio::select! {
                () = cancel.cancelled() => return,
                batch = self.socket.receive(BATCH) => batch,
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "DHCP socket does not receive"
                    );
                    tokio::select! {
                        () = cancel.cancelled() => return,
                        () = tokio::time::sleep(PAUSE) => continue,
                    }
                }
            };
            self.serve(&batch, &deps, &mut memory).await;
        }
    }

    /// Answers a batch. OFFERs and ACKs of leases that are durable leave at once, other ACKs after one commit of all
    /// their leases.
    async fn serve(&self, batch: &[(Vec<u8>, Ipv4Addr)], deps: &Deps, memory: &mut Memory) {
        let now = Timestamp::now();
        let view = deps.view.load();
        let mut waiting = Waiting::default();
        for (packet, source) in batch {
            let arrival = Arrival {
                source: *source,
                networks: memory.networks.now(),
            };
            let transactions = &mut memory.transactions;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                answer(packet, arrival, transactions, &view, &self.site, now)
            }));
            let Ok(outcome) = outcome else {
                metrics::counter!("gantry_dhcp_panics_total").increment(1);
                tracing::error!("a DHCP packet made the engine panic; it is not answered");
                continue;
            };
            count(&outcome);
            let reply = match &outcome.action {
                Action::Reply(reply) => reply,
                Action::Silent(_) => {
                    report(&outcome, deps, now);
                    continue;
                }
            };
            match reply.lease.zip(outcome.mac) {
                Some((lease, mac)) if !memory.leases.cover(mac, lease, now) => {
                    waiting.add(&outcome, reply, (mac, lease), now);
                }
                lease => {
                    self.send(reply, &mut memory.frames).await;
                    // A renewal within what is recorded is no news.
                    if !lease.is_some_and(|(lease, _)| lease.renewal) {
                        report(&outcome, deps, now);
                    }
                }
            }
        }
        if !waiting.records.is_empty() {
            self.commit(waiting, deps, memory, now).await;
        }
    }

    async fn commit(&self, waiting: Waiting, deps: &Deps, memory: &mut Memory, began: Timestamp) {
        if let Err(error) = deps.records.append_all(waiting.records).await {
            let error = &error as &dyn std::error::Error;
            let leases = waiting.leases.len();
            tracing::error!(error, leases, "leases could not be committed; no ACK is sent");
            return;
        }
        for (mac, lease) in waiting.leases {
            memory.leases.committed(mac, lease, began);
        }
        for reply in &waiting.replies {
            self.send(reply, &mut memory.frames).await;
        }
    }

    async fn send(&self, reply: &Reply, frames: &mut Frames) {
        if let Err(error) = self.socket.send(reply, frames).await {
            // The destination may be made up, so this may happen for every packet.
            metrics::counter!("gantry_dhcp_unsent_total").increment(1);
            let destination = format!("{:?}", reply.destination);
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                destination,
                "DHCP reply could not be sent"
            );
        }
    }
}

impl Waiting {
    /// One record covers all ACKs of a client for one address in the batch.
    fn add(&mut self, outcome: &Outcome, reply: &Reply, (mac, lease): (Mac, Lease), now: Timestamp) {
        self.replies.push(reply.clone());
        if self.leases.get(&mac).is_none_or(|earlier| *earlier != lease) {
            self.records.push(record(outcome, lease, now));
        }
        self.leases.insert(mac, lease);
    }
}

fn count(outcome: &Outcome) {
    let kind = outcome.kind.map_or("unreadable", MessageType::name);
    let answer = match &outcome.action {
        Action::Reply(reply) => reply.kind.name(),
        Action::Silent(_) => "none",
    };
    metrics::counter!("gantry_dhcp_packets_total", "kind" => kind, "answer" => answer).increment(1);
}

fn report(outcome: &Outcome, deps: &Deps, now: Timestamp) {
    if outcome.mac.is_none() {
        tracing::debug!(reason = outcome.text, "DHCP packet dropped");
        return;
    }
    let event = event(outcome, BootEventKind::Dhcp);
    deps.events.send(outcome.target.as_deref(), now, event);
}

fn event(outcome: &Outcome, kind: BootEventKind) -> BootEvent {
    BootEvent {
        kind,
        mac: outcome.mac,
        peer: None,
        text: outcome.text.clone(),
    }
}

fn record(outcome: &Outcome, lease: Lease, now: Timestamp) -> NewRecord {
    let (machine, ring) = match (&outcome.target, outcome.mac) {
        (Some(target), _) => (target.name().to_owned(), Ring::Machine),
        (None, Some(mac)) => (mac.to_string(), Ring::Strangers),
        (None, None) => (String::new(), Ring::Strangers),
    };
    let mut event = event(outcome, BootEventKind::Lease);
    let until = recorded_end(lease, now);
    event.text = printable(&format!("{}, recorded until {until:.0}", event.text)).into_owned();
    NewRecord {
        kind: "BootEvent".to_owned(),
        machine,
        ring,
        at: now.as_millisecond(),
        // A struct of strings always becomes JSON.
        payload: serde_json::to_value(event).unwrap_or_default(),
    }
}
