//! The fixed part of a BOOTP/DHCP message (RFC 2131 section 2).
//!
//! Read by hand: the field that says how long the hardware address is comes from the network, and the decoders at
//! hand trust it or stop at the first option they dislike.

use std::net::Ipv4Addr;

use resources::Mac;

use super::options::{OptionError, Options};

/// Length of the fixed part with the magic number.
pub(crate) const FIXED: usize = 240;
/// Smallest datagram that some BOOTP relays and clients accept (RFC 1542 section 2.1).
pub(crate) const MIN_REPLY: usize = 300;
/// Longest datagram that is read.
pub(crate) const MAX_PACKET: usize = 1500;
pub(crate) const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// The client cannot receive unicast yet.
pub(crate) const BROADCAST_FLAG: u16 = 0x8000;

/// Why a packet is not for a DHCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Less than the fixed part, or more than an Ethernet frame.
    #[error("{0} bytes are no DHCP message")]
    Length(usize),
    /// A reply, or nothing known.
    #[error("not a request")]
    NotRequest,
    /// Plain BOOTP or something else.
    #[error("no DHCP magic number")]
    Magic,
    /// A hardware address that does not fit its field.
    #[error("a hardware address of {0} bytes")]
    HardwareLength(u8),
    /// Not Ethernet.
    #[error("hardware type {0} with {1} bytes is not Ethernet")]
    NotEthernet(u8, u8),
    /// The options are beyond the limits.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// Option 53 is missing or unknown.
    #[error("no DHCP message type")]
    NoType,
}

/// Message type (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MessageType {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl MessageType {
    const ALL: [Self; 8] = [
        Self::Discover,
        Self::Offer,
        Self::Request,
        Self::Decline,
        Self::Ack,
        Self::Nak,
        Self::Release,
        Self::Inform,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// As RFC 2131 writes it, without the prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "DISCOVER",
            Self::Offer => "OFFER",
            Self::Request => "REQUEST",
            Self::Decline => "DECLINE",
            Self::Ack => "ACK",
            Self::Nak => "NAK",
            Self::Release => "RELEASE",
            Self::Inform => "INFORM",
        }
    }
}

/// A request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Option 53.
    pub kind: MessageType,
    /// Transaction.
    pub xid: [u8; 4],
    /// Flags; bit 15 asks for broadcast.
    pub flags: u16,
    /// Address that the client uses.
    pub ciaddr: Ipv4Addr,
    /// Address of the relay.
    pub giaddr: Ipv4Addr,
    /// Hardware address.
    pub mac: Mac,
    /// Options.
    pub options: Options,
}

impl Request {
    /// Reads a datagram.
    ///
    /// # Errors
    /// If it is not a DHCP request of an Ethernet client within the limits.
    pub fn read(packet: &[u8]) -> Result<Self, PacketError> {
        let length = PacketError::Length(packet.len());
        if packet.len() > MAX_PACKET {
            return Err(length);
        }
        let (fixed, field) = packet.split_at_checked(FIXED).ok_or(length)?;
        let (op, htype, hlen) = match *fixed {
            [op, htype, hlen, ..] => (op, htype, hlen),
            _ => return Err(length),
        };
        if op != 1 {
            return Err(PacketError::NotRequest);
        }
        if hlen > 16 {
            return Err(PacketError::HardwareLength(hlen));
        }
        if part::<4>(fixed, 236) != Some(MAGIC) {
            return Err(PacketError::Magic);
        }
        let address = |at| part::<4>(fixed, at).map(Ipv4Addr::from).ok_or(length);
        let mac = part::<6>(fixed, 28).map(Mac::new).ok_or(length)?;
        if htype != 1 || hlen != 6 {
            return Err(PacketError::NotEthernet(htype, hlen));
        }
        let sname = fixed.get(44..108).unwrap_or_default();
        let file = fixed.get(108..236).unwrap_or_default();
        let options = Options::read(field, file, sname)?;
        let kind = options.get(53).and_then(|value| value.first().copied());
        let kind = kind.and_then(MessageType::from_code).ok_or(PacketError::NoType)?;
        Ok(Self {
            kind,
            xid: part(fixed, 4).ok_or(length)?,
            flags: part(fixed, 10).map(u16::from_be_bytes).ok_or(length)?,
            ciaddr: address(12)?,
            giaddr: address(24)?,
            mac,
            options,
        })
    }

    /// The hardware address of an Ethernet client, as far as it can be told without reading the packet.
    #[must_use]
    pub fn peek_mac(packet: &[u8]) -> Option<Mac> {
        match *packet {
            [1, 1, 6, ..] => part::<6>(packet, 28).map(Mac::new),
            _ => None,
        }
    }

    /// Whether the client asks for broadcast replies.
    #[must_use]
    pub const fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST_FLAG != 0
    }
}

fn part<const N: usize>(fixed: &[u8], at: usize) -> Option<[u8; N]> {
    fixed.get(at..at.checked_add(N)?)?.try_into().ok()
}
