//! A client of RFC 1350 with the options blksize (RFC 2348) and windowsize (RFC 7440), which compares what comes with what
//! the file holds.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// What firmware asks for: a block and its headers fill an Ethernet frame.
const BLOCK: usize = 1468;
/// Until a packet is sent again.
const AGAIN: Duration = Duration::from_secs(1);
/// A server that is silent for so many of them is broken.
const TRIES: usize = 10;
/// Room for the windows of a fast server.
const ROOM: usize = 4 << 20;

const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTIONS: u16 = 6;

/// Fetches a file from an address of a machine.
pub(super) async fn fetch(
    from: Ipv4Addr,
    server: SocketAddr,
    name: &str,
    window: u16,
    content: &[u8],
) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::from((from, 0))).await?;
    setsockopt(&socket, sockopt::RcvBufForce, &ROOM)?;
    let mut packet = vec![0; 4 + BLOCK + 100];
    let (length, peer) = open(&socket, server, &request(name, window), &mut packet).await?;
    socket.connect(peer).await?;
    let mut transfer = Transfer {
        content,
        block: BLOCK,
        window: agreed(&packet[..length], window)?.into(),
        received: 0,
        since_ack: 0,
        ended: false,
    };
    socket.send(&transfer.ack()).await?;
    let mut silent = 0;
    while !transfer.ended {
        let length = match receive(&socket, &mut packet).await? {
            Some(length) => length,
            None => {
                silent += 1;
                ensure!(silent < TRIES, "no block {} of {name}", transfer.received + 1);
                socket.send(&transfer.ack()).await?;
                continue;
            }
        };
        silent = 0;
        if transfer.take(&packet[..length])? {
            socket.send(&transfer.ack()).await?;
        }
    }
    Ok(())
}

/// Sends the request until something comes, and from where.
async fn open(
    socket: &UdpSocket,
    server: SocketAddr,
    request: &[u8],
    packet: &mut [u8],
) -> anyhow::Result<(usize, SocketAddr)> {
    for _ in 0..TRIES {
        socket.send_to(request, server).await?;
        if let Ok(received) = timeout(AGAIN, socket.recv_from(packet)).await {
            return Ok(received?);
        }
    }
    bail!("no answer to a request")
}

/// The next packet, or `None` when it is time to send again.
async fn receive(socket: &UdpSocket, packet: &mut [u8]) -> anyhow::Result<Option<usize>> {
    match socket.try_recv(packet) {
        Ok(length) => return Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    match timeout(AGAIN, socket.recv(packet)).await {
        Ok(length) => Ok(Some(length?)),
        Err(_) => Ok(None),
    }
}

fn request(name: &str, window: u16) -> Vec<u8> {
    let mut request = format!("\0\x01{name}\0octet\0blksize\0{BLOCK}\0").into_bytes();
    if window > 1 {
        request.extend(format!("windowsize\0{window}\0").into_bytes());
    }
    request
}

/// The window that an OACK grants, for blocks of the size that was asked for.
fn agreed(packet: &[u8], asked: u16) -> anyhow::Result<u16> {
    let (OPTIONS, options) = split(packet)? else {
        bail!("no options in the first answer: {:?}", packet.get(..20));
    };
    let texts: Vec<&str> = std::str::from_utf8(options)?.split_terminator('\0').collect();
    let value = |name: &str| {
        let pair = texts.chunks(2).find(|pair| pair[0].eq_ignore_ascii_case(name));
        pair.and_then(|pair| pair.get(1)?.parse::<u16>().ok())
    };
    let block = value("blksize").context("no blksize in the first answer")?;
    ensure!(usize::from(block) == BLOCK, "a blksize of {block}");
    let window = value("windowsize").unwrap_or(1);
    ensure!((1..=asked).contains(&window), "a windowsize of {window}");
    Ok(window)
}

fn split(packet: &[u8]) -> anyhow::Result<(u16, &[u8])> {
    let (code, rest) = packet.split_at_checked(2).context("a packet of one byte")?;
    let code = u16::from_be_bytes([code[0], code[1]]);
    ensure!(
        code != ERROR,
        "the server says {:?}",
        String::from_utf8_lossy(rest)
    );
    Ok((code, rest))
}

/// What has come.
struct Transfer<'a> {
    content: &'a [u8],
    block: usize,
    window: usize,
    /// Blocks in order.
    received: usize,
    since_ack: usize,
    ended: bool,
}

impl Transfer<'_> {
    /// Takes a packet; whether it is to be acknowledged.
    fn take(&mut self, packet: &[u8]) -> anyhow::Result<bool> {
        let (DATA, rest) = split(packet)? else {
            return Ok(false);
        };
        let (number, data) = rest.split_at_checked(2).context("a block without a number")?;
        let expected = (self.received + 1) as u16;
        if number != expected.to_be_bytes() {
            // Something is lost: the server goes on behind what came, once for each window.
            let is_late = self.since_ack == 0;
            self.since_ack = 0;
            return Ok(!is_late);
        }
        let from = self.received * self.block;
        let to = self.content.len().min(from + self.block);
        ensure!(
            self.content.get(from..to) == Some(data),
            "block {} differs",
            self.received + 1
        );
        self.received += 1;
        self.since_ack += 1;
        self.ended = data.len() < self.block;
        let is_window = self.since_ack == self.window;
        if is_window {
            self.since_ack = 0;
        }
        Ok(is_window || self.ended)
    }

    fn ack(&self) -> [u8; 4] {
        let [high, low] = (self.received as u16).to_be_bytes();
        [0, ACK as u8, high, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(number: u16, content: &[u8]) -> Vec<u8> {
        [&DATA.to_be_bytes(), &number.to_be_bytes(), content].concat()
    }

    #[test]
    fn windows_are_acknowledged_and_blocks_compared() {
        let content = b"aabbccd".as_slice();
        let mut transfer = Transfer {
            content,
            block: 2,
            window: 2,
            received: 0,
            since_ack: 0,
            ended: false,
        };
        assert!(!transfer.take(&data(1, b"aa")).unwrap());
        assert!(transfer.take(&data(2, b"bb")).unwrap(), "a window");
        assert!(!transfer.take(&data(3, b"cc")).unwrap());
        assert!(transfer.take(&data(5, b"")).unwrap(), "block 4 is lost");
        assert_eq!(transfer.ack(), [0, 4, 0, 3]);
        assert!(transfer.take(&data(4, b"x")).is_err(), "another content");
        assert!(transfer.take(&data(4, b"d")).unwrap() && transfer.ended);
        assert!(transfer.take(b"\0\x05\0\x01no file\0").is_err());
    }

    #[test]
    fn options_are_read() {
        assert_eq!(
            agreed(b"\0\x06BLKSIZE\x001468\0windowsize\x0016\0", 64).unwrap(),
            16
        );
        assert_eq!(agreed(b"\0\x06blksize\x001468\0", 64).unwrap(), 1);
        assert!(agreed(b"\0\x03\0\x01", 1).is_err());
    }
}
