//! Sockets around the engine: one UDP/67 socket per interface, batches with one commit, and the advertiser.

mod advertiser;
mod event_limit;
mod neighbours;
mod socket;

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use boot_script::{EventSender, SiteSettings, ViewHandle};
use jiff::Timestamp;
use resources::{BootEvent, BootEventKind};
use store::records::{NewRecord, Records};
use tokio_util::sync::CancellationToken;

pub use advertiser::RouterAdvertiser;

use crate::engine::{Action, MessageType, Outcome, Reply, answer};
use crate::error::Error;
use event_limit::EventLimit;
use neighbours::Neighbours;
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
    /// Where everything else that happens is told.
    pub events: EventSender,
}

/// The DHCP server of one interface.
#[derive(Debug)]
pub struct Server {
    socket: DhcpSocket,
    site: SiteSettings,
}

impl Server {
    /// Takes UDP port 67 of the interface. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If the interface does not exist or the port is taken or not permitted.
    pub fn bind(config: Config) -> Result<Self, Error> {
        let socket = DhcpSocket::bind(&config.interface, config.site.server_address)?;
        Ok(Self {
            socket,
            site: config.site,
        })
    }

    /// Serves until `cancel`.
    pub async fn run(self, deps: Deps, cancel: CancellationToken) {
        let mut neighbours = Neighbours::connect(self.socket.index());
        let mut limit = EventLimit::default();
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
            self.serve(&batch, &deps, &mut neighbours, &mut limit).await;
        }
    }

    /// Answers a batch. OFFERs leave at once, ACKs after one commit of all their leases.
    async fn serve(
        &self,
        batch: &[(Vec<u8>, Ipv4Addr)],
        deps: &Deps,
        neighbours: &mut Neighbours,
        limit: &mut EventLimit,
    ) {
        let now = Timestamp::now();
        let view = deps.view.load();
        let mut leases = Vec::new();
        let mut later = Vec::new();
        for (packet, source) in batch {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                answer(packet, *source, &view, &self.site, now)
            }));
            let Ok(outcome) = outcome else {
                metrics::counter!("gantry_dhcp_panics_total").increment(1);
                tracing::error!("a DHCP packet made the engine panic; it is not answered");
                continue;
            };
            count(&outcome);
            match &outcome.action {
                Action::Reply(reply) if reply.lease.is_some() => {
                    leases.push(record(&outcome, now));
                    later.push(reply.clone());
                }
                Action::Reply(reply) => {
                    self.send(reply, neighbours).await;
                    tell(&outcome, deps, limit, now);
                }
                Action::Silent(_) => tell(&outcome, deps, limit, now),
            }
        }
        if leases.is_empty() {
            return;
        }
        match deps.records.append_all(leases).await {
            Ok(_) => {
                for reply in &later {
                    self.send(reply, neighbours).await;
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    leases = later.len(),
                    "leases could not be committed; no ACK is sent"
                );
            }
        }
    }

    async fn send(&self, reply: &Reply, neighbours: &mut Neighbours) {
        if let Err(error) = self.socket.send(reply, neighbours).await {
            let destination = format!("{:?}", reply.destination);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                destination,
                "DHCP reply could not be sent"
            );
        }
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

fn tell(outcome: &Outcome, deps: &Deps, limit: &mut EventLimit, now: Timestamp) {
    let Some(mac) = outcome.mac else {
        tracing::debug!(reason = outcome.text, "DHCP packet dropped");
        return;
    };
    if !limit.allows(mac, now) {
        return;
    }
    tracing::debug!(%mac, text = outcome.text, "DHCP");
    deps.events.send(
        outcome.target.as_deref(),
        now,
        event(outcome, BootEventKind::Dhcp),
    );
}

fn event(outcome: &Outcome, kind: BootEventKind) -> BootEvent {
    BootEvent {
        kind,
        mac: outcome.mac,
        peer: None,
        text: outcome.text.clone(),
    }
}

fn record(outcome: &Outcome, now: Timestamp) -> NewRecord {
    let machine = match (&outcome.target, outcome.mac) {
        (Some(target), _) => target.name().to_owned(),
        (None, Some(mac)) => mac.to_string(),
        (None, None) => String::new(),
    };
    let event = event(outcome, BootEventKind::Lease);
    NewRecord {
        kind: "BootEvent".to_owned(),
        machine,
        at: now.as_millisecond(),
        // A struct of strings always becomes JSON.
        payload: serde_json::to_value(event).unwrap_or_default(),
    }
}
