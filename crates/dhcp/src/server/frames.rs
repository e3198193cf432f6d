//! Replies to clients that do not answer ARP yet (RFC 2131 section 4.1 wants unicast to them): ready Ethernet frames
//! on a packet socket, so neither ARP nor the kernel's neighbour table takes part.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, send, socket};
use resources::Mac;

use super::ports::{CLIENT_PORT, SERVER_PORT};

const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
/// How long replies are broadcast after a failure before the socket is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A packet socket of one interface. Without one (no CAP_NET_RAW, an interface that is down) replies are broadcast
/// meanwhile.
#[derive(Debug)]
pub(crate) struct Frames {
    interface: String,
    open: Option<Open>,
    try_at: Option<Instant>,
    warned: bool,
}

#[derive(Debug)]
struct Open {
    socket: OwnedFd,
    own: [u8; 6],
}

impl Frames {
    pub(crate) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            open: None,
            try_at: None,
            warned: false,
        }
    }

    /// Sends a reply to a client at this MAC; false if it has to be broadcast.
    pub(crate) fn send(&mut self, source: Ipv4Addr, to: (Ipv4Addr, Mac), payload: &[u8]) -> bool {
        if self.try_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        match self.try_send(source, to, payload) {
            Ok(()) => {
                self.try_at = None;
                self.warned = false;
                true
            }
            Err(error) => {
                // A full queue empties by itself; anything else may need a new socket.
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.open = None;
                    self.try_at = Instant::now().checked_add(AGAIN);
                    if !std::mem::replace(&mut self.warned, true) {
                        let interface = &self.interface;
                        tracing::warn!(interface, %error, "DHCP replies are broadcast until unicast works again");
                    }
                }
                false
            }
        }
    }

    fn try_send(&mut self, source: Ipv4Addr, to: (Ipv4Addr, Mac), payload: &[u8]) -> io::Result<()> {
        let open = match &self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.interface)?),
        };
        let frame = frame(open.own, source, to, payload)
            .ok_or_else(|| io::Error::other("the reply is longer than a datagram can be"))?;
        send(open.socket.as_raw_fd(), &frame, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

fn open(interface: &str) -> io::Result<Open> {
    let mut all = getifaddrs()?.filter(|one| one.interface_name == interface);
    let link = all
        .find_map(|one| one.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::other("the interface has no link address"))?;
    let own = link
        .addr()
        .filter(|own| *own != [0; 6])
        .ok_or_else(|| io::Error::other("the interface is not Ethernet"))?;
    // Protocol 0: it only sends.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    bind(socket.as_raw_fd(), &link)?;
    Ok(Open { socket, own })
}

/// Ethernet, IPv4 and UDP around a reply; `None` if it does not fit.
fn frame(own: [u8; 6], source: Ipv4Addr, to: (Ipv4Addr, Mac), payload: &[u8]) -> Option<Vec<u8>> {
    let (address, mac) = to;
    let udp_length = u16::try_from(payload.len().checked_add(UDP)?).ok()?.to_be_bytes();
    let ip_length = u16::try_from(payload.len().checked_add(UDP + IP)?)
        .ok()?
        .to_be_bytes();
    let ports = [SERVER_PORT.to_be_bytes(), CLIENT_PORT.to_be_bytes()].concat();

    // Version 4 without options, no service class; identification 0, not to be fragmented; lifetime 64, UDP.
    let mut ip = [&[0x45, 0][..], &ip_length, &[0, 0, 0x40, 0, 64, 17, 0, 0]].concat();
    ip.extend(source.octets());
    ip.extend(address.octets());
    let sum = checksum(&[&ip]);
    ip.get_mut(10..12)?.copy_from_slice(&sum);

    let pseudo = [&source.octets()[..], &address.octets(), &[0, 17], &udp_length].concat();
    let header = [&ports[..], &udp_length].concat();
    let sum = match checksum(&[&pseudo, &header, &[0, 0], payload]) {
        // Zero would say that there is none.
        [0, 0] => [0xff, 0xff],
        sum => sum,
    };
    let mut frame = Vec::with_capacity(payload.len().checked_add(ETHERNET + IP + UDP)?);
    frame.extend(mac.octets());
    frame.extend(own);
    frame.extend([8, 0]);
    frame.extend(ip);
    frame.extend(header);
    frame.extend(sum);
    frame.extend(payload);
    Some(frame)
}

/// The Internet checksum (RFC 1071) of parts of which all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum = words.fold(0_u32, |sum, word| {
        let (high, low) = (word.first().copied(), word.get(1).copied());
        sum.saturating_add(u32::from(u16::from_be_bytes([
            high.unwrap_or(0),
            low.unwrap_or(0),
        ])))
    });
    let folded = (sum & 0xffff).saturating_add(sum >> 16);
    let folded = (folded & 0xffff).saturating_add(folded >> 16);
    let [_, _, high, low] = (!folded).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_right_lengths_and_sums() {
        let to = (Ipv4Addr::new(10, 0, 0, 5), Mac::new([2, 0, 0, 0, 0, 5]));
        for payload in [&[7; 300][..], &[7; 301], &[]] {
            let frame = frame([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1), to, payload).unwrap();
            assert_eq!(
                frame[..14],
                [2, 0, 0, 0, 0, 5, 2, 0, 0, 0, 0, 1, 8, 0],
                "to, from, IPv4"
            );
            let (ip, udp) = frame[14..].split_at(20);
            assert_eq!(
                checksum(&[ip]),
                [0, 0],
                "a header with its sum adds up to nothing"
            );
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), frame.len() - 14);
            assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), udp.len());
            assert_eq!(udp[..4], [0, 67, 0, 68]);
            let pseudo = [&ip[12..20], &[0, 17], &udp[4..6]].concat();
            assert_eq!(checksum(&[&pseudo, udp]), [0, 0]);
        }
        assert_eq!(frame([0; 6], Ipv4Addr::LOCALHOST, to, &[0; 65_530]), None);
    }

    #[test]
    fn a_failure_is_not_for_ever() {
        let to = (Ipv4Addr::new(10, 0, 0, 5), Mac::new([2, 0, 0, 0, 0, 5]));
        let mut frames = Frames::new("no-such-if");
        assert!(!frames.send(Ipv4Addr::LOCALHOST, to, &[]));
        let again = frames.try_at.unwrap();
        assert!(again <= Instant::now() + AGAIN, "it is tried again");
    }
}
