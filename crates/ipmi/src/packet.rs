//! Datagrams: the RMCP header, and the session header of IPMI 2.0 or, for what comes before a session, of IPMI 1.5.

use crate::Malformed;
use crate::reader::Reader;

/// More than any datagram of this protocol has.
pub const MAX_PACKET: usize = 1024;

/// Version 1, reserved, no RMCP acknowledgement wanted, class IPMI.
const RMCP: [u8; 4] = [6, 0, 0xff, 7];
/// Session header of IPMI 1.5 without authentication.
const NONE: u8 = 0;
const RMCP_PLUS: u8 = 6;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;

/// What a packet of IPMI 2.0 carries (table 13-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadType {
    Message,
    OpenSessionRequest,
    OpenSessionResponse,
    Rakp1,
    Rakp2,
    Rakp3,
    Rakp4,
}

const TYPES: [(PayloadType, u8); 7] = [
    (PayloadType::Message, 0),
    (PayloadType::OpenSessionRequest, 0x10),
    (PayloadType::OpenSessionResponse, 0x11),
    (PayloadType::Rakp1, 0x12),
    (PayloadType::Rakp2, 0x13),
    (PayloadType::Rakp3, 0x14),
    (PayloadType::Rakp4, 0x15),
];

impl PayloadType {
    pub(crate) fn code(self) -> u8 {
        TYPES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(0, |(_, code)| *code)
    }
}

/// A datagram, taken apart as far as is possible without keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A message outside of sessions, in the format of IPMI 1.5 without authentication.
    Plain(&'a [u8]),
    /// A payload outside of sessions: the messages that open one, and messages that need none.
    Open { kind: PayloadType, payload: &'a [u8] },
    /// A sealed packet of a session; [`crate::SessionKeys::open`] opens it.
    Sealed { session: u32, datagram: &'a [u8] },
}

/// The parts of a sealed packet, none of them believed yet.
pub(crate) struct SealedParts<'a> {
    pub(crate) kind: u8,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
    /// What the integrity code covers.
    pub(crate) covered: &'a [u8],
    pub(crate) code: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes a datagram apart.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        if datagram.len() > MAX_PACKET {
            return Err(Malformed::Length("a datagram"));
        }
        let mut reader = Reader::new(datagram, "a datagram");
        let [version, _, _, class] = reader.array()?;
        if version != RMCP[0] || class != RMCP[3] {
            return Err(Malformed::Value("the RMCP header"));
        }
        match reader.u8()? {
            NONE => {
                let (_, session) = (reader.u32()?, reader.u32()?);
                let length = reader.u8()?;
                if session != 0 {
                    return Err(Malformed::Value("the session of a plain packet"));
                }
                // Some BMCs add a byte, which keeps a defective network chip of the past from losing the packet.
                Ok(Self::Plain(reader.take(usize::from(length))?))
            }
            RMCP_PLUS => {
                let kind = reader.u8()?;
                let session = reader.u32()?;
                if kind & (ENCRYPTED | AUTHENTICATED) != 0 {
                    return Ok(Self::Sealed { session, datagram });
                }
                if session != 0 {
                    return Err(Malformed::Value("a packet of a session that is not sealed"));
                }
                let (_, length) = (reader.u32()?, reader.u16()?);
                let found = TYPES.iter().find(|(_, code)| *code == kind);
                let (kind, _) = found.ok_or(Malformed::Value("the payload type"))?;
                let payload = reader.take(usize::from(length))?;
                Ok(Self::Open { kind: *kind, payload })
            }
            _ => Err(Malformed::Value("the authentication type")),
        }
    }

    /// A message outside of sessions. Empty where the message is longer than its length field can say.
    #[must_use]
    pub fn plain(message: &[u8]) -> Vec<u8> {
        let Ok(length) = u8::try_from(message.len()) else {
            return Vec::new();
        };
        [&RMCP, [NONE, 0, 0, 0, 0, 0, 0, 0, 0, length].as_slice(), message].concat()
    }

    /// A payload outside of sessions. Empty where the payload is longer than its length field can say.
    #[must_use]
    pub fn open(kind: PayloadType, payload: &[u8]) -> Vec<u8> {
        let Ok(length) = u16::try_from(payload.len()) else {
            return Vec::new();
        };
        let header = [RMCP_PLUS, kind.code(), 0, 0, 0, 0, 0, 0, 0, 0];
        [&RMCP, header.as_slice(), &length.to_le_bytes(), payload].concat()
    }
}

/// Takes a sealed packet apart. `code` is how many bytes the integrity code of the session's suite has.
pub(crate) fn sealed_parts(datagram: &[u8], code: usize) -> Result<SealedParts<'_>, Malformed> {
    const WHAT: &str = "a sealed packet";
    let length = datagram.len().checked_sub(code).ok_or(Malformed::Short(WHAT))?;
    let (before, code) = datagram.split_at_checked(length).ok_or(Malformed::Short(WHAT))?;
    let covered = before.get(RMCP.len()..).ok_or(Malformed::Short(WHAT))?;
    let mut reader = Reader::new(covered, WHAT);
    let (format, kind) = (reader.u8()?, reader.u8()?);
    let (_, sequence, length) = (reader.u32()?, reader.u32()?, reader.u16()?);
    if format != RMCP_PLUS || kind & ENCRYPTED == 0 || kind & AUTHENTICATED == 0 {
        return Err(Malformed::Value("the protection of a packet"));
    }
    let payload = reader.take(usize::from(length))?;
    // Padding, its length and the next header: covered by the code, and of no further use.
    if reader.remaining() < 2 {
        return Err(Malformed::Short(WHAT));
    }
    Ok(SealedParts {
        kind: kind & !(ENCRYPTED | AUTHENTICATED),
        sequence,
        payload,
        covered,
        code,
    })
}

/// What of a sealed packet stands before its integrity code: the RMCP header, and what the code covers.
pub(crate) fn sealed_frame(session: u32, sequence: u32, kind: PayloadType, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut frame = RMCP.to_vec();
    frame.extend([RMCP_PLUS, kind.code() | ENCRYPTED | AUTHENTICATED]);
    frame.extend(session.to_le_bytes());
    frame.extend(sequence.to_le_bytes());
    frame.extend(length.to_le_bytes());
    frame.extend(payload);
    // What the code covers fills whole groups of four bytes.
    let covered = frame.len().saturating_sub(RMCP.len()).saturating_add(2);
    let pad = covered.next_multiple_of(4).saturating_sub(covered);
    frame.extend(std::iter::repeat_n(0xff, pad));
    frame.push(u8::try_from(pad).unwrap_or_default());
    frame.push(7);
    frame
}

/// What the integrity code of a frame covers.
pub(crate) fn covered(frame: &[u8]) -> &[u8] {
    frame.get(RMCP.len()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(Packet::parse(&Packet::plain(&[1, 2])), Ok(Packet::Plain(&[1, 2])));
        let datagram = Packet::open(PayloadType::Rakp1, &[9; 40]);
        assert_eq!(
            Packet::parse(&datagram),
            Ok(Packet::Open {
                kind: PayloadType::Rakp1,
                payload: &[9; 40]
            })
        );
        let frame = sealed_frame(7, 8, PayloadType::Message, &[5; 33]);
        assert_eq!(covered(&frame).len() % 4, 0);
        let datagram = [frame.as_slice(), &[0; 12]].concat();
        assert!(matches!(
            Packet::parse(&datagram),
            Ok(Packet::Sealed { session: 7, .. })
        ));
        let parts = sealed_parts(&datagram, 12).unwrap();
        assert_eq!(
            (parts.kind, parts.sequence, parts.payload),
            (0, 8, [5; 33].as_slice())
        );
    }

    #[test]
    fn other_protection_is_refused() {
        let mut md5 = Packet::plain(&[1]);
        md5[4] = 2;
        assert!(Packet::parse(&md5).is_err());
        let mut bare = Packet::open(PayloadType::Message, &[1]);
        bare[6] = 1;
        assert!(Packet::parse(&bare).is_err());
        let mut clear = sealed_frame(7, 8, PayloadType::Message, &[5; 32]);
        clear[5] = AUTHENTICATED;
        clear.extend([0; 12]);
        assert!(sealed_parts(&clear, 12).is_err());
    }
}
