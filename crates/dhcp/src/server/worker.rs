//! The thread that answers: takes packets in batches, answers them from memory, and sends. It waits for nothing but
//! packets and commits, so no other work of the process delays a client.

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use boot_script::{BootView, Lookup, SiteSettings};
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use resources::{BootEvent, BootEventKind, printable};
use store::records::{NewRecord, Ring};
use tokio_util::sync::CancellationToken;

use super::commits::{Commits, Ended, commit};
use super::deps::Deps;
use super::frames::Frames;
use super::leases::{Leases, recorded_end};
use super::networks::Networks;
use super::socket::{DhcpSocket, Packets};
use crate::engine::{Action, Arrival, Lease, MessageType, Outcome, Reply, Request, Transactions, answer};
use crate::metrics;

/// Pause after an error of the socket, such as an interface that is down.
const PAUSE: Duration = Duration::from_millis(500);

/// How the worker and the commits of its leases find each other.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) ending: Sender<Ended>,
    pub(super) ended: Receiver<Ended>,
    /// Wakes the worker: a commit has ended, or the service is to end.
    pub(super) wake: Arc<EventFd>,
    pub(super) stop: CancellationToken,
}

/// What answers on one interface.
#[derive(Debug)]
pub(super) struct Worker {
    socket: DhcpSocket,
    site: SiteSettings,
    deps: Deps,
    ends: Ends,
    frames: Frames,
    networks: Networks,
    transactions: Transactions,
    leases: Leases,
    commits: Commits,
}

impl Worker {
    pub(super) fn new(
        socket: DhcpSocket,
        interface: &str,
        site: SiteSettings,
        deps: Deps,
        ends: Ends,
    ) -> Self {
        Self {
            socket,
            frames: Frames::new(interface),
            networks: Networks::new(interface, &site),
            transactions: Transactions::default(),
            leases: Leases::default(),
            commits: Commits::default(),
            site,
            deps,
            ends,
        }
    }

    /// Works until it is to stop.
    pub(super) fn run(mut self) {
        let mut packets = Packets::new();
        while !self.ends.stop.is_cancelled() {
            self.send_durable();
            let received = match self.socket.receive(&mut packets) {
                Ok(true) => {
                    self.serve(&packets);
                    Ok(())
                }
                Ok(false) => self.socket.wait(&self.ends.wake),
                Err(error) => Err(error),
            };
            if let Err(error) = received {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "DHCP socket does not receive");
                let mut wake = [PollFd::new(self.ends.wake.as_fd(), PollFlags::POLLIN)];
                let _ = poll(
                    &mut wake,
                    PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO),
                );
            }
        }
    }

    /// Sends the ACKs whose leases have become durable.
    fn send_durable(&mut self) {
        while let Ok(ended) = self.ends.ended.try_recv() {
            let Some(batch) = self.commits.ended(&ended) else {
                continue;
            };
            for (mac, lease) in batch.leases {
                self.leases.committed(mac, lease, batch.began);
            }
            for reply in &batch.replies {
                self.send(reply);
            }
        }
    }

    /// Answers a batch. OFFERs and ACKs of leases that are durable leave at once, other ACKs after the commit of their
    /// leases.
    fn serve(&mut self, packets: &Packets) {
        let now = Timestamp::now();
        let view = self.deps.view.load();
        for (packet, source) in packets.iter() {
            if self.is_flood(packet, &view, now) {
                continue;
            }
            let arrival = Arrival {
                source,
                networks: self.networks.now(),
            };
            let (transactions, site) = (&mut self.transactions, &self.site);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                answer(packet, arrival, transactions, &view, site, now)
            }));
            let Ok(outcome) = outcome else {
                metrics::panicked(1);
                tracing::error!("a DHCP packet made the engine panic; it is not answered");
                continue;
            };
            count(&outcome);
            self.act(&outcome, now);
        }
        if let Some(order) = self.commits.close() {
            let Ends { ending, wake, .. } = &self.ends;
            commit(order, &self.deps.records, ending.clone(), Arc::clone(wake));
        }
    }

    /// Whether a packet gets no answer and makes no record: its MAC is unknown, and so many of those come that they are
    /// only counted. A flood must be read faster than it comes, or it delays whoever is served.
    fn is_flood(&self, packet: &[u8], view: &BootView, now: Timestamp) -> bool {
        let stranger =
            Request::peek_mac(packet).is_some_and(|mac| matches!(view.by_mac(mac), Lookup::Unknown));
        stranger && self.deps.events.holds_back_strangers(BootEventKind::Dhcp, now)
    }

    fn act(&mut self, outcome: &Outcome, now: Timestamp) {
        let reply = match &outcome.action {
            Action::Reply(reply) => reply,
            Action::Silent(_) => return report(outcome, &self.deps, now),
        };
        match reply.lease.zip(outcome.mac) {
            Some((lease, mac)) if !self.leases.cover(mac, lease, now) => {
                let record = || record(outcome, lease, now);
                if !self.commits.hold((mac, lease), reply, now, record) {
                    metrics::not_held(1);
                }
            }
            lease => {
                self.send(reply);
                // A renewal within what is recorded is no news.
                if !lease.is_some_and(|(lease, _)| lease.renewal) {
                    report(outcome, &self.deps, now);
                }
            }
        }
    }

    fn send(&mut self, reply: &Reply) {
        if let Err(error) = self.socket.send(reply, &mut self.frames) {
            // The destination may be made up, so this may happen for every packet.
            metrics::unsent(1);
            let destination = format!("{:?}", reply.destination);
            tracing::debug!(
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
    metrics::packet(kind, answer);
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
