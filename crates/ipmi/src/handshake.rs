//! The six messages that open a session (IPMI 2.0 §13.17 to 13.24).

use std::fmt;

use crate::reader::Reader;
use crate::{CipherSuite, Malformed};

/// A user is looked up by name only, whatever its privilege.
const BY_NAME: u8 = 0x10;
const MAX_NAME: usize = 16;

/// What a session may do at most (table 13-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    User,
    /// Power and boot source; neither users nor network settings of the BMC.
    Operator,
    Administrator,
}

impl Privilege {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::User => 2,
            Self::Operator => 3,
            Self::Administrator => 4,
        }
    }

    /// Of a number on the wire.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        [Self::User, Self::Operator, Self::Administrator]
            .into_iter()
            .find(|level| level.number() == number)
    }
}

/// The answer of a BMC to a message of the handshake (table 13-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    pub const OK: Self = Self(0);
    pub const NO_RESOURCES: Self = Self(1);
    pub const INVALID_SESSION: Self = Self(2);
    pub const UNAUTHORIZED_PRIVILEGE: Self = Self(0x0a);
    pub const UNAUTHORIZED_NAME: Self = Self(0x0d);
    pub const INVALID_CODE: Self = Self(0x0f);
    pub const NO_SUITE: Self = Self(0x11);
    pub const ILLEGAL: Self = Self(0x12);

    /// Whether another cipher suite may be taken.
    #[must_use]
    pub const fn refuses_suite(self) -> bool {
        matches!(self.0, 4..=7 | 0x10 | 0x11)
    }

    /// Whether user, password or privilege is what the BMC refuses.
    #[must_use]
    pub const fn refuses_login(self) -> bool {
        matches!(self.0, 9 | 0x0a | 0x0c | 0x0d | 0x0f)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0 => "no error",
            1 => "no more sessions are possible now",
            2 => "invalid session",
            4 | 6 => "the authentication algorithm is refused",
            5 | 7 => "the integrity algorithm is refused",
            8 => "the session is not active",
            9 | 0x0a => "the user may not have this privilege",
            0x0b => "no more sessions with this privilege are possible now",
            0x0c => "the user name is too long",
            0x0d => "there is no such user",
            0x0e => "unauthorized GUID",
            0x0f => "wrong proof of the password",
            0x10 => "the encryption algorithm is refused",
            0x11 => "the cipher suite is refused",
            0x12 => "illegal parameter",
            _ => return write!(f, "status {:#04x}", self.0),
        };
        f.write_str(meaning)
    }
}

/// Asks for a session of one cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSessionRequest {
    /// Comes back in the response.
    pub tag: u8,
    pub privilege: Privilege,
    /// How the client names the session.
    pub console: u32,
    pub suite: CipherSuite,
}

/// One algorithm of a proposal: kind, its length of 8, number.
fn algorithm(kind: u8, number: u8) -> [u8; 8] {
    [kind, 0, 0, 8, number, 0, 0, 0]
}

fn proposal(suite: CipherSuite) -> [[u8; 8]; 3] {
    let [authentication, integrity, confidentiality] = suite.algorithms();
    [
        algorithm(0, authentication),
        algorithm(1, integrity),
        algorithm(2, confidentiality),
    ]
}

fn suite(reader: &mut Reader<'_>) -> Result<CipherSuite, Malformed> {
    let mut numbers = [0; 3];
    for (kind, number) in (0..).zip(&mut numbers) {
        let [found, _, _, length, value, ..] = reader.array::<8>()?;
        if found != kind || length != 8 {
            return Err(Malformed::Value("a proposal of algorithms"));
        }
        *number = value & 0x3f;
    }
    CipherSuite::ALL
        .into_iter()
        .find(|suite| suite.algorithms() == numbers)
        .ok_or(Malformed::Value("the cipher suite"))
}

impl OpenSessionRequest {
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.tag, self.privilege.number(), 0, 0];
        bytes.extend(self.console.to_le_bytes());
        bytes.extend(proposal(self.suite).concat());
        bytes
    }

    /// Reads a request. Where only the suite is not one that is taken, tag and console session are still told.
    pub fn parse(payload: &[u8]) -> Result<Result<Self, (u8, u32)>, Malformed> {
        let mut reader = Reader::new(payload, "an Open Session Request");
        let [tag, privilege, _, _] = reader.array()?;
        let console = reader.u32()?;
        // 0 asks for the highest that there is.
        let privilege = match privilege & 0x0f {
            0 => Some(Privilege::Administrator),
            number => Privilege::of(number),
        };
        let privilege = privilege.ok_or(Malformed::Value("the privilege"))?;
        Ok(suite(&mut reader)
            .map(|suite| Self {
                tag,
                privilege,
                console,
                suite,
            })
            .map_err(|_| (tag, console)))
    }
}

/// The BMC's answer to an [`OpenSessionRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSessionResponse {
    pub tag: u8,
    pub privilege: u8,
    pub console: u32,
    /// How the BMC names the session.
    pub managed: u32,
    pub suite: CipherSuite,
}

impl OpenSessionResponse {
    /// A refusal.
    #[must_use]
    pub fn refusal(tag: u8, status: Status, console: u32) -> Vec<u8> {
        let mut bytes = vec![tag, status.0, 0, 0];
        bytes.extend(console.to_le_bytes());
        bytes
    }

    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.tag, 0, self.privilege, 0];
        bytes.extend(self.console.to_le_bytes());
        bytes.extend(self.managed.to_le_bytes());
        bytes.extend(proposal(self.suite).concat());
        bytes
    }

    /// Reads tag and status first; the rest stands there only if the status is good.
    pub fn parse(payload: &[u8]) -> Result<(u8, Result<Self, Status>), Malformed> {
        let mut reader = Reader::new(payload, "an Open Session Response");
        let (tag, status) = (reader.u8()?, Status(reader.u8()?));
        if status != Status::OK {
            return Ok((tag, Err(status)));
        }
        let privilege = reader.u8()? & 0x0f;
        reader.skip(1)?;
        let response = Self {
            tag,
            privilege,
            console: reader.u32()?,
            managed: reader.u32()?,
            suite: suite(&mut reader)?,
        };
        Ok((tag, Ok(response)))
    }
}

/// Who wants the session: privilege and user name, as both sides put them in their codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    byte: u8,
    name: Vec<u8>,
}

impl Role {
    /// A user, looked up by name. `None` for names that IPMI has no room for.
    #[must_use]
    pub fn of_user(name: &str, privilege: Privilege) -> Option<Self> {
        (name.len() <= MAX_NAME).then(|| Self {
            byte: BY_NAME | privilege.number(),
            name: name.as_bytes().to_vec(),
        })
    }

    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The privilege that is asked for.
    #[must_use]
    pub fn privilege(&self) -> Option<Privilege> {
        Privilege::of(self.byte & 0x0f)
    }

    /// Role, length of the name, name.
    pub(crate) fn coded(&self) -> Vec<u8> {
        let length = u8::try_from(self.name.len()).unwrap_or_default();
        [&[self.byte, length], self.name.as_slice()].concat()
    }
}

/// The client's random number and user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rakp1 {
    pub tag: u8,
    pub managed: u32,
    pub random: [u8; 16],
    pub role: Role,
}

impl Rakp1 {
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, 0, 0, 0];
        bytes.extend(self.managed.to_le_bytes());
        bytes.extend(self.random);
        let length = u8::try_from(self.role.name.len()).unwrap_or_default();
        bytes.extend([self.role.byte, 0, 0, length]);
        bytes.extend(&self.role.name);
        bytes
    }

    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload, "RAKP 1");
        let [tag, _, _, _] = reader.array()?;
        let managed = reader.u32()?;
        let random = reader.array()?;
        let [byte, _, _, length] = reader.array()?;
        if usize::from(length) > MAX_NAME {
            return Err(Malformed::Length("RAKP 1"));
        }
        let name = reader.take(usize::from(length))?.to_vec();
        Ok(Self {
            tag,
            managed,
            random,
            role: Role { byte, name },
        })
    }
}

/// The BMC's random number, GUID and proof of the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rakp2 {
    pub tag: u8,
    pub console: u32,
    pub random: [u8; 16],
    pub guid: [u8; 16],
    pub code: Vec<u8>,
}

impl Rakp2 {
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = OpenSessionResponse::refusal(self.tag, Status::OK, self.console);
        bytes.extend(self.random);
        bytes.extend(self.guid);
        bytes.extend(&self.code);
        bytes
    }

    pub fn parse(payload: &[u8], suite: CipherSuite) -> Result<(u8, Result<Self, Status>), Malformed> {
        let mut reader = Reader::new(payload, "RAKP 2");
        let [tag, status, _, _] = reader.array()?;
        if Status(status) != Status::OK {
            return Ok((tag, Err(Status(status))));
        }
        let message = Self {
            tag,
            console: reader.u32()?,
            random: reader.array()?,
            guid: reader.array()?,
            code: reader.take(suite.exchange_code())?.to_vec(),
        };
        Ok((tag, Ok(message)))
    }
}

/// The client's proof of the password, or why it gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rakp3 {
    pub tag: u8,
    pub status: Status,
    pub managed: u32,
    pub code: Vec<u8>,
}

impl Rakp3 {
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = OpenSessionResponse::refusal(self.tag, self.status, self.managed);
        bytes.extend(&self.code);
        bytes
    }

    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload, "RAKP 3");
        let [tag, status, _, _] = reader.array()?;
        Ok(Self {
            tag,
            status: Status(status),
            managed: reader.u32()?,
            code: reader.rest().to_vec(),
        })
    }
}

/// The BMC's proof of the session's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rakp4 {
    pub tag: u8,
    pub console: u32,
    pub code: Vec<u8>,
}

impl Rakp4 {
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = OpenSessionResponse::refusal(self.tag, Status::OK, self.console);
        bytes.extend(&self.code);
        bytes
    }

    pub fn parse(payload: &[u8], suite: CipherSuite) -> Result<(u8, Result<Self, Status>), Malformed> {
        let mut reader = Reader::new(payload, "RAKP 4");
        let [tag, status, _, _] = reader.array()?;
        if Status(status) != Status::OK {
            return Ok((tag, Err(Status(status))));
        }
        let message = Self {
            tag,
            console: reader.u32()?,
            code: reader.take(suite.integrity_code())?.to_vec(),
        };
        Ok((tag, Ok(message)))
    }
}
