//! Writing a reply: order, size and the relay's option are ours to say, so it is written by hand; the tests read it
//! back with an independent decoder.

use std::net::Ipv4Addr;

use super::options::END;
use super::packet::{FIXED, MAGIC, MAX_PACKET, MIN_REPLY, MessageType, Request};

/// IPv4 and UDP headers, which option 57 counts.
const HEADERS: usize = 28;
/// Size that every client takes (RFC 2131 section 2).
const DEFAULT_SIZE: u16 = 576;
/// Longest value of field `file`, without the zero at its end.
const FILE: usize = 127;

/// A reply under construction.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) kind: MessageType,
    pub(crate) flags: u16,
    pub(crate) ciaddr: Ipv4Addr,
    pub(crate) yiaddr: Ipv4Addr,
    pub(crate) siaddr: Ipv4Addr,
    pub(crate) file: String,
    /// In order of importance: what does not fit is left out from the end.
    pub(crate) options: Vec<(u8, Vec<u8>)>,
}

impl Draft {
    pub(crate) fn new(kind: MessageType, request: &Request) -> Self {
        Self {
            kind,
            flags: request.flags,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            file: String::new(),
            options: Vec::new(),
        }
    }

    /// The datagram.
    pub(crate) fn encode(&self, request: &Request, server: Ipv4Addr) -> Vec<u8> {
        let mut bytes = self.fixed(request);
        // RFC 3046: back as it came, and last. The relay takes it out, so it does not count for the client.
        let relay = request
            .options
            .get(82)
            .map(|value| option(82, value))
            .unwrap_or_default();
        let limit = size_limit(request).min((MAX_PACKET - HEADERS).saturating_sub(relay.len()));
        let mut list = vec![(53, vec![self.kind as u8]), (54, server.octets().to_vec())];
        if self.file.len() > FILE {
            list.push((67, self.file.as_bytes().to_vec()));
        }
        list.extend(self.options.iter().cloned());
        if let Some(client_id) = request.options.get(61) {
            list.push((61, client_id.to_vec()));
        }
        for (code, value) in list {
            let encoded = option(code, &value);
            if bytes.len().saturating_add(encoded.len()) < limit {
                bytes.extend(encoded);
            }
        }
        bytes.extend(relay);
        bytes.push(END);
        if bytes.len() < MIN_REPLY {
            bytes.resize(MIN_REPLY, 0);
        }
        bytes
    }

    fn fixed(&self, request: &Request) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_PACKET);
        bytes.extend([2, 1, 6, 0]);
        bytes.extend(request.xid);
        bytes.extend([0, 0]);
        bytes.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, request.giaddr] {
            bytes.extend(address.octets());
        }
        bytes.extend(request.mac.octets());
        // The rest of chaddr, and sname.
        bytes.resize(108, 0);
        if self.file.len() <= FILE {
            bytes.extend(self.file.as_bytes());
        }
        bytes.resize(FIXED - MAGIC.len(), 0);
        bytes.extend(MAGIC);
        bytes
    }
}

/// Most bytes of the datagram.
fn size_limit(request: &Request) -> usize {
    let told = request
        .options
        .number16(57)
        .unwrap_or(DEFAULT_SIZE)
        .max(DEFAULT_SIZE);
    usize::from(told).min(MAX_PACKET).saturating_sub(HEADERS)
}

/// One option, in parts of 255 bytes if it is longer (RFC 3396).
fn option(code: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len().saturating_add(2));
    if value.is_empty() {
        bytes.extend([code, 0]);
    }
    for part in value.chunks(255) {
        bytes.push(code);
        bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(part);
    }
    bytes
}
