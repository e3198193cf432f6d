//! How a session is opened, from the BMC's side.

use std::time::Instant;

use ipmi::{
    Exchange, OpenSessionRequest, OpenSessionResponse, Packet, PayloadType, Privilege, Rakp1, Rakp2, Rakp3,
    Rakp4, Status, Window, random,
};

use crate::chassis::{Account, Profile};
use crate::session::{Opened, Sessions, Stage};

/// What opening a session takes.
pub(crate) struct Handshake<'a> {
    pub(crate) account: &'a Account,
    pub(crate) profile: &'a Profile,
    pub(crate) guid: [u8; 16],
    pub(crate) sessions: &'a mut Sessions,
    pub(crate) now: Instant,
}

fn refusal(kind: PayloadType, tag: u8, status: Status, console: u32) -> Vec<u8> {
    Packet::open(kind, &OpenSessionResponse::refusal(tag, status, console))
}

impl Handshake<'_> {
    /// The reply to a message of the handshake; none to what is no such message.
    pub(crate) fn reply(&mut self, kind: PayloadType, payload: &[u8]) -> Option<Vec<u8>> {
        match kind {
            PayloadType::OpenSessionRequest => self.ask(payload),
            PayloadType::Rakp1 => self.prove(payload),
            PayloadType::Rakp3 => self.finish(payload),
            _ => None,
        }
    }

    fn ask(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let refuse =
            |tag, status, console| Some(refusal(PayloadType::OpenSessionResponse, tag, status, console));
        let request = match OpenSessionRequest::parse(payload).ok()? {
            Ok(request) => request,
            Err((tag, console)) => return refuse(tag, Status::NO_SUITE, console),
        };
        if !self.profile.suites.contains(&request.suite) {
            return refuse(request.tag, Status::NO_SUITE, request.console);
        }
        if self.sessions.open_now() >= self.profile.sessions {
            return refuse(request.tag, Status::NO_RESOURCES, request.console);
        }
        let stage = Stage::Asked {
            console: request.console,
            suite: request.suite,
        };
        let response = OpenSessionResponse {
            tag: request.tag,
            privilege: request.privilege.min(self.account.privilege).number(),
            console: request.console,
            managed: self.sessions.ask(stage, self.now),
            suite: request.suite,
        };
        Some(Packet::open(
            PayloadType::OpenSessionResponse,
            &response.to_bytes(),
        ))
    }

    fn prove(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let message = Rakp1::parse(payload).ok()?;
        let refuse = |status, console| Some(refusal(PayloadType::Rakp2, message.tag, status, console));
        let session = self.sessions.get(message.managed);
        let (console, suite) = match session.map(|session| &session.stage) {
            Some(Stage::Asked { console, suite }) => (*console, *suite),
            // The message comes again because its reply was lost.
            Some(Stage::Proving(exchange)) => (exchange.console, exchange.suite),
            _ => return refuse(Status::INVALID_SESSION, 0),
        };
        if message.role.name() != self.account.name.as_bytes() {
            return refuse(Status::UNAUTHORIZED_NAME, console);
        }
        if message
            .role
            .privilege()
            .is_none_or(|wanted| wanted > self.account.privilege)
        {
            return refuse(Status::UNAUTHORIZED_PRIVILEGE, console);
        }
        let exchange = Exchange {
            suite,
            role: message.role.clone(),
            console,
            managed: message.managed,
            console_random: message.random,
            managed_random: random()?,
            guid: self.guid,
        };
        let reply = Rakp2 {
            tag: message.tag,
            console,
            random: exchange.managed_random,
            guid: exchange.guid,
            code: exchange.managed_proof(self.account.password.reveal().as_bytes()),
        };
        self.sessions
            .advance(message.managed, Stage::Proving(Box::new(exchange)), self.now);
        Some(Packet::open(PayloadType::Rakp2, &reply.to_bytes()))
    }

    fn finish(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let message = Rakp3::parse(payload).ok()?;
        let exchange = match &self.sessions.get(message.managed)?.stage {
            Stage::Proving(exchange) => exchange.as_ref().clone(),
            Stage::Open(opened) if opened.finished.0 == payload => return Some(opened.finished.1.clone()),
            _ => {
                return Some(refusal(
                    PayloadType::Rakp4,
                    message.tag,
                    Status::INVALID_SESSION,
                    0,
                ));
            }
        };
        let password = self.account.password.reveal().as_bytes();
        if message.status != Status::OK {
            self.sessions.remove(message.managed);
            return None;
        }
        if !exchange.accepts_console(password, &message.code) {
            self.sessions.remove(message.managed);
            let status = Status::INVALID_CODE;
            return Some(refusal(PayloadType::Rakp4, message.tag, status, exchange.console));
        }
        let keys = exchange.keys(password)?;
        let reply = Rakp4 {
            tag: message.tag,
            console: exchange.console,
            code: exchange.key_proof(&keys),
        };
        let reply = Packet::open(PayloadType::Rakp4, &reply.to_bytes());
        let opened = Opened {
            console: exchange.console,
            keys,
            window: Window::default(),
            sent: 0,
            limit: exchange.role.privilege()?,
            // What every session begins with.
            privilege: Privilege::User,
            answered: None,
            finished: (payload.to_vec(), reply.clone()),
        };
        self.sessions
            .advance(message.managed, Stage::Open(Box::new(opened)), self.now);
        Some(reply)
    }
}
