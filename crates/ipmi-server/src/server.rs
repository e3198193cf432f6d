//! The socket of a BMC, and what becomes of each datagram.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipmi::{Command, Completion, MAX_PACKET, Packet, PayloadType, Privilege, Request};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::chassis::{Account, Chassis, Profile};
use crate::commands::{Asker, execute, needs_no_session};
use crate::faults::{Fault, Faults, arriving};
use crate::handshake::Handshake;
use crate::session::{Opened, Sessions, Stage};

/// One BMC.
pub struct Server {
    account: Account,
    profile: Profile,
    chassis: Arc<dyn Chassis>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    sessions: Mutex<Sessions>,
    faults: Faults,
}

/// Looks into a BMC that runs, and disturbs it.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Sessions that are open now.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.shared.sessions().open_now()
    }

    /// Sessions that were opened so far.
    #[must_use]
    pub fn opened_sessions(&self) -> u64 {
        self.shared.sessions().ever_opened()
    }

    /// The most sessions that were open at once.
    #[must_use]
    pub fn most_sessions(&self) -> usize {
        self.shared.sessions().most_open()
    }

    /// Lets a fault happen to so many of the next replies, after those that were injected before.
    pub fn inject(&self, fault: Fault, count: usize) {
        self.shared.faults.inject(fault, count);
    }
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Server {
    #[must_use]
    pub fn new(account: Account, profile: Profile, chassis: Arc<dyn Chassis>) -> Self {
        Self {
            account,
            profile,
            chassis,
            shared: Arc::default(),
        }
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Answers until cancelled, one datagram after the other as a BMC's one processor does.
    pub async fn run(self, socket: UdpSocket, cancel: CancellationToken) {
        let mut buffer = [0; MAX_PACKET];
        loop {
            let received = tokio::select! {
                () = cancel.cancelled() => return,
                received = socket.recv_from(&mut buffer) => received,
            };
            // An ICMP error of an earlier reply comes back here; that client is gone.
            let Ok((length, peer)) = received else { continue };
            let Some(datagram) = buffer.get(..length) else {
                continue;
            };
            self.serve(&socket, datagram, peer).await;
        }
    }

    async fn serve(&self, socket: &UdpSocket, datagram: &[u8], peer: SocketAddr) {
        let fault = self.shared.faults.next();
        if fault == Some(Fault::LoseRequest) {
            return;
        }
        let Some(reply) = self.reply(datagram, peer).await else {
            return;
        };
        for datagram in arriving(fault, reply) {
            if let Err(error) = socket.send_to(&datagram, peer).await {
                tracing::debug!(error = %error, "reply not sent");
            }
        }
    }

    /// The reply to a datagram; none to what is none of this BMC's business.
    async fn reply(&self, datagram: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
        self.shared.sessions().expire(self.profile.idle, Instant::now());
        match Packet::parse(datagram).ok()? {
            Packet::Plain(message) => self
                .outside(message, peer)
                .await
                .map(|reply| Packet::plain(&reply)),
            Packet::Open { kind, payload } if self.profile.rmcp_plus => {
                if kind == PayloadType::Message {
                    let reply = self.outside(payload, peer).await?;
                    return Some(Packet::open(PayloadType::Message, &reply));
                }
                let mut handshake = Handshake {
                    account: &self.account,
                    profile: &self.profile,
                    guid: self.chassis.identity().guid,
                    sessions: &mut self.shared.sessions(),
                    now: Instant::now(),
                };
                handshake.reply(kind, payload)
            }
            Packet::Open { .. } => None,
            Packet::Sealed { session, datagram } => self.inside(session, datagram, peer).await,
        }
    }

    async fn outside(&self, message: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
        let request = Request::parse(message).ok()?;
        let answer = match request.command() {
            Some(command) if needs_no_session(command) => {
                execute(
                    &request,
                    Asker {
                        privilege: Privilege::User,
                        peer,
                    },
                    &self.profile,
                    self.chassis.as_ref(),
                )
                .await
            }
            _ => Err(Completion::INSUFFICIENT_PRIVILEGE),
        };
        Some(answered(&request, answer))
    }

    async fn inside(&self, number: u32, datagram: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
        let (message, privilege) = {
            let mut sessions = self.shared.sessions();
            let session = sessions.get(number)?;
            let Stage::Open(opened) = &mut session.stage else {
                return None;
            };
            let (sequence, message) = opened.keys.open(datagram).ok()?;
            if !opened.window.accept(sequence) {
                return None;
            }
            session.last = Instant::now();
            if let Some((_, reply)) = opened.answered.take_if(|(before, _)| *before == message) {
                let sealed = seal(opened, &reply);
                opened.answered = Some((message, reply));
                return sealed;
            }
            (message, opened.privilege)
        };
        let request = Request::parse(&message).ok()?;
        let answer = match request.command() {
            Some(Command::SetPrivilege) => self.set_privilege(number, &request.data),
            Some(Command::CloseSession) if request.data == number.to_le_bytes() => Ok(Vec::new()),
            Some(Command::CloseSession) => Err(Completion(0x87)),
            _ => {
                execute(
                    &request,
                    Asker { privilege, peer },
                    &self.profile,
                    self.chassis.as_ref(),
                )
                .await
            }
        };
        let closes = request.command() == Some(Command::CloseSession) && answer.is_ok();
        let reply = answered(&request, answer);
        let mut sessions = self.shared.sessions();
        let Stage::Open(opened) = &mut sessions.get(number)?.stage else {
            return None;
        };
        let sealed = seal(opened, &reply);
        opened.answered = Some((message, reply));
        if closes {
            sessions.remove(number);
        }
        sealed
    }

    fn set_privilege(&self, number: u32, data: &[u8]) -> Answer {
        let mut sessions = self.shared.sessions();
        let Some(Stage::Open(opened)) = sessions.get(number).map(|session| &mut session.stage) else {
            return Err(Completion::UNSPECIFIED);
        };
        match data {
            // "No change" asks what it is.
            [0] => {}
            [level] => {
                let level = Privilege::of(*level).ok_or(Completion::INVALID_FIELD)?;
                if level > opened.limit {
                    return Err(Completion(0x81));
                }
                opened.privilege = level;
            }
            _ => return Err(Completion::LENGTH),
        }
        Ok(vec![opened.privilege.number()])
    }
}

fn answered(request: &Request, answer: Answer) -> Vec<u8> {
    match answer {
        Ok(data) => request.answer(Completion::OK, &data),
        Err(completion) => request.answer(completion, &[]),
    }
}

fn seal(opened: &mut Opened, message: &[u8]) -> Option<Vec<u8>> {
    opened.sent = opened.sent.wrapping_add(1).max(1);
    opened.keys.seal(opened.console, opened.sent, message)
}
