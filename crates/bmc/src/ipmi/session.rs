//! One session: opened with both proofs checked, used for one request at a time, and closed.

use ::ipmi::{
    ChannelAuthentication, Command, Completion, Exchange, OpenSessionRequest, OpenSessionResponse, Packet,
    PayloadType, Privilege, Rakp1, Rakp2, Rakp3, Rakp4, Request, Response, Role, SessionKeys, Status, Window,
    channel_authentication_request, random,
};

use super::connection::IpmiConnection;
use super::socket::{Ask, Repeat, Socket};
use crate::Error;

/// Enough for power, boot source and inventory, and the least that is.
const PRIVILEGE: Privilege = Privilege::Operator;

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    socket: Socket,
    keys: SessionKeys,
    /// What the BMC calls the session, and what we call it.
    managed: u32,
    console: u32,
    sent: u32,
    window: Window,
    request: u8,
    closed: bool,
}

/// Asks a BMC, outside of any session, how sessions are opened.
pub(super) async fn detect(connection: &IpmiConnection) -> Result<(), Error> {
    let socket = Socket::connect(connection).await?;
    capabilities(&socket).await.map(drop)
}

async fn capabilities(socket: &Socket) -> Result<ChannelAuthentication, Error> {
    let command = Command::ChannelAuthentication;
    let mut ask = Outside {
        request: Request::new(command, 1, &channel_authentication_request(PRIVILEGE)),
        command,
    };
    let response = socket.exchange(&mut ask, Repeat::Yes).await?;
    let data = data_of(socket.host(), command, response)?;
    let found = ChannelAuthentication::parse(&data).map_err(|problem| Error::Malformed {
        host: socket.host().to_owned(),
        path: command.to_string(),
        problem: problem.to_string(),
    })?;
    if !found.rmcp_plus {
        return Err(Error::IpmiRefused {
            host: socket.host().to_owned(),
            reason: "it has IPMI 1.5 only, whose sessions are not encrypted".to_owned(),
        });
    }
    Ok(found)
}

fn data_of(host: &str, command: Command, response: Response) -> Result<Vec<u8>, Error> {
    if response.completion == Completion::OK {
        return Ok(response.data);
    }
    Err(Error::Completion {
        host: host.to_owned(),
        command: command.to_string(),
        completion: response.completion,
    })
}

impl Session {
    /// Opens a session with the first cipher suite that the BMC takes.
    pub(super) async fn open(connection: &IpmiConnection) -> Result<Self, Error> {
        let socket = Socket::connect(connection).await?;
        let found = capabilities(&socket).await?;
        let refused = |reason: String| Error::IpmiRefused {
            host: connection.host.clone(),
            reason,
        };
        for suite in &connection.suites {
            let console = random::<4>().map(u32::from_le_bytes).unwrap_or_default().max(1);
            let request = OpenSessionRequest {
                tag: suite.number(),
                privilege: PRIVILEGE,
                console,
                suite: *suite,
            };
            match socket.exchange(&mut Opening(request), Repeat::Yes).await? {
                Ok(response) if response.suite == *suite => {
                    return Self::prove(socket, connection, response, found.bmc_key).await;
                }
                Ok(_) => {
                    return Err(refused(format!(
                        "it takes another cipher suite than the asked {suite}"
                    )));
                }
                Err(status) if status.refuses_suite() => {}
                Err(status) => return Err(rejected(&socket, "the session", status)),
            }
        }
        let tried: Vec<String> = connection
            .suites
            .iter()
            .map(|suite| suite.number().to_string())
            .collect();
        let tried = tried.join(" and ");
        Err(refused(format!(
            "it has no cipher suite of {tried}, and others do not protect a session"
        )))
    }

    /// RAKP 1 to 4: both sides prove that they know the password.
    async fn prove(
        socket: Socket,
        connection: &IpmiConnection,
        opened: OpenSessionResponse,
        bmc_key: bool,
    ) -> Result<Self, Error> {
        let host = || connection.host.clone();
        let unusable = |problem: &str| Error::Malformed {
            host: host(),
            path: "IPMI session".to_owned(),
            problem: problem.to_owned(),
        };
        let role = Role::of_user(&connection.username, PRIVILEGE).ok_or_else(|| unusable("the user name"))?;
        let console_random = random().ok_or_else(|| unusable("no random numbers here"))?;
        let first = Rakp1 {
            tag: 1,
            managed: opened.managed,
            random: console_random,
            role: role.clone(),
        };
        let second = socket.exchange(&mut First(&first, opened), Repeat::Yes).await?;
        let second = second.map_err(|status| rejected(&socket, "the user", status))?;
        let exchange = Exchange {
            suite: opened.suite,
            role,
            console: opened.console,
            managed: opened.managed,
            console_random,
            managed_random: second.random,
            guid: second.guid,
        };
        let password = connection.password.reveal().as_bytes();
        let mut third = Rakp3 {
            tag: 2,
            status: Status::OK,
            managed: opened.managed,
            code: Vec::new(),
        };
        if !exchange.accepts_managed(password, &second.code) {
            // The BMC need not wait for the rest.
            third.status = Status::INVALID_CODE;
            socket.send_now(&Packet::open(PayloadType::Rakp3, &third.to_bytes()));
            return Err(Error::Login {
                host: host(),
                reason: "IPMI: the BMC knows another password".to_owned(),
            });
        }
        third.code = exchange.console_proof(password);
        let keys = exchange
            .keys(password)
            .ok_or_else(|| unusable("no keys can be made"))?;
        // From here on the BMC may hold the session open, so that it is closed when this fails.
        let mut session = Self {
            socket,
            keys,
            managed: opened.managed,
            console: opened.console,
            sent: 0,
            window: Window::default(),
            request: 0,
            closed: false,
        };
        let fourth = session
            .socket
            .exchange(&mut Third(&third, opened), Repeat::Yes)
            .await?;
        let fourth = fourth.map_err(|status| rejected(&session.socket, "the password", status))?;
        if !exchange.accepts_keys(&session.keys, &fourth.code) {
            return Err(Error::IpmiRefused {
                host: host(),
                reason: if bmc_key {
                    "it has a BMC key (Kg) set, which is not supported: clear it".to_owned()
                } else {
                    "it proves other session keys than those agreed on".to_owned()
                },
            });
        }
        session
            .request(Command::SetPrivilege, &[PRIVILEGE.number()], Repeat::Yes)
            .await?;
        Ok(session)
    }

    /// Does one command.
    pub(super) async fn request(
        &mut self,
        command: Command,
        data: &[u8],
        repeat: Repeat,
    ) -> Result<Vec<u8>, Error> {
        self.request = self.request.wrapping_add(1);
        let request = Request::new(command, self.request, data);
        let mut ask = Inside {
            message: request.to_bytes(),
            request,
            command,
            keys: &self.keys,
            managed: self.managed,
            console: self.console,
            sent: &mut self.sent,
            window: &mut self.window,
        };
        let response = self.socket.exchange(&mut ask, repeat).await?;
        data_of(self.socket.host(), command, response)
    }

    /// Ends the session. Never an error: an unreachable BMC ends it by its own time limit.
    pub(super) async fn close(mut self) {
        let number = self.managed.to_le_bytes();
        match self.request(Command::CloseSession, &number, Repeat::Yes).await {
            Ok(_) => self.closed = true,
            Err(error) => {
                tracing::debug!(bmc = %self.socket.host(), error = %error, "session left to expire")
            }
        }
    }
}

impl Drop for Session {
    /// Asks once for the end of a session that was not closed.
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let number = self.managed.to_le_bytes();
        let message = Request::new(Command::CloseSession, self.request.wrapping_add(1), &number).to_bytes();
        if let Some(datagram) = self.keys.seal(self.managed, self.sent.wrapping_add(1), &message) {
            self.socket.send_now(&datagram);
        }
    }
}

/// A status other than "no error", sorted into what the user can do about it.
fn rejected(socket: &Socket, what: &str, status: Status) -> Error {
    let host = socket.host().to_owned();
    if status.refuses_login() {
        return Error::Login {
            host,
            reason: format!("IPMI: {status}"),
        };
    }
    if matches!(status.0, 1 | 0x0b) {
        return Error::NoSession {
            host,
            reason: status.to_string(),
        };
    }
    Error::Malformed {
        host,
        path: "IPMI session".to_owned(),
        problem: format!("it refuses {what}: {status}"),
    }
}

/// A command outside of sessions.
struct Outside {
    request: Request,
    command: Command,
}

impl Ask for Outside {
    type Answer = Response;

    fn name(&self) -> String {
        self.command.to_string()
    }

    fn datagram(&mut self) -> Option<Vec<u8>> {
        Some(Packet::plain(&self.request.to_bytes()))
    }

    fn accept(&mut self, datagram: &[u8]) -> Option<Response> {
        let Ok(Packet::Plain(message)) = Packet::parse(datagram) else {
            return None;
        };
        Response::parse(message)
            .ok()
            .filter(|response| response.answers(&self.request))
    }
}

/// The payload of a message of the handshake, if the datagram is of that kind.
fn payload(datagram: &[u8], wanted: PayloadType) -> Option<&[u8]> {
    match Packet::parse(datagram) {
        Ok(Packet::Open { kind, payload }) if kind == wanted => Some(payload),
        _ => None,
    }
}

struct Opening(OpenSessionRequest);

impl Ask for Opening {
    type Answer = Result<OpenSessionResponse, Status>;

    fn name(&self) -> String {
        format!("open a session with {}", self.0.suite)
    }

    fn datagram(&mut self) -> Option<Vec<u8>> {
        Some(Packet::open(PayloadType::OpenSessionRequest, &self.0.to_bytes()))
    }

    fn accept(&mut self, datagram: &[u8]) -> Option<Self::Answer> {
        let payload = payload(datagram, PayloadType::OpenSessionResponse)?;
        let (tag, answer) = OpenSessionResponse::parse(payload).ok()?;
        let fits = tag == self.0.tag
            && answer
                .as_ref()
                .ok()
                .is_none_or(|opened| opened.console == self.0.console);
        fits.then_some(answer)
    }
}

struct First<'a>(&'a Rakp1, OpenSessionResponse);

impl Ask for First<'_> {
    type Answer = Result<Rakp2, Status>;

    fn name(&self) -> String {
        "RAKP 1".to_owned()
    }

    fn datagram(&mut self) -> Option<Vec<u8>> {
        Some(Packet::open(PayloadType::Rakp1, &self.0.to_bytes()))
    }

    fn accept(&mut self, datagram: &[u8]) -> Option<Self::Answer> {
        let payload = payload(datagram, PayloadType::Rakp2)?;
        let (tag, answer) = Rakp2::parse(payload, self.1.suite).ok()?;
        let fits = tag == self.0.tag
            && answer
                .as_ref()
                .ok()
                .is_none_or(|second| second.console == self.1.console);
        fits.then_some(answer)
    }
}

struct Third<'a>(&'a Rakp3, OpenSessionResponse);

impl Ask for Third<'_> {
    type Answer = Result<Rakp4, Status>;

    fn name(&self) -> String {
        "RAKP 3".to_owned()
    }

    fn datagram(&mut self) -> Option<Vec<u8>> {
        Some(Packet::open(PayloadType::Rakp3, &self.0.to_bytes()))
    }

    fn accept(&mut self, datagram: &[u8]) -> Option<Self::Answer> {
        let payload = payload(datagram, PayloadType::Rakp4)?;
        let (tag, answer) = Rakp4::parse(payload, self.1.suite).ok()?;
        let fits = tag == self.0.tag
            && answer
                .as_ref()
                .ok()
                .is_none_or(|fourth| fourth.console == self.1.console);
        fits.then_some(answer)
    }
}

/// A command in the session.
struct Inside<'a> {
    message: Vec<u8>,
    request: Request,
    command: Command,
    keys: &'a SessionKeys,
    managed: u32,
    console: u32,
    sent: &'a mut u32,
    window: &'a mut Window,
}

impl Ask for Inside<'_> {
    type Answer = Response;

    fn name(&self) -> String {
        self.command.to_string()
    }

    /// Each repetition has a sequence number of its own, or the BMC would take it for a replay.
    fn datagram(&mut self) -> Option<Vec<u8>> {
        *self.sent = self.sent.checked_add(1)?;
        self.keys.seal(self.managed, *self.sent, &self.message)
    }

    fn accept(&mut self, datagram: &[u8]) -> Option<Response> {
        let Ok(Packet::Sealed { session, datagram }) = Packet::parse(datagram) else {
            return None;
        };
        if session != self.console {
            return None;
        }
        let (sequence, message) = self.keys.open(datagram).ok()?;
        if !self.window.accept(sequence) {
            return None;
        }
        Response::parse(&message)
            .ok()
            .filter(|response| response.answers(&self.request))
    }
}
