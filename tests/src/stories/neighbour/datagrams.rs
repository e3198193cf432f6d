//! Datagrams of DHCP and TFTP: those by which the machine boots, and a flood of requests of machines that do not exist.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use resources::Mac;
use socket2::{Domain, Socket, Type};

use super::addresses::{MAC, MACHINE, NEIGHBOURS, SERVER, neighbour};
use crate::namespace::{CLIENT_LINK, ClientNamespace};

/// What the machine fetches by TFTP.
pub(super) const FILE: &str = "snponly.efi";
const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
/// Transaction of the machine's own DISCOVER.
const TRANSACTION: u32 = 0x4d41_4348;
/// Nobody waits longer than this for one answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Rounds of the flood at the most: in each five DISCOVERs and one read request.
const ROUNDS: u32 = 4000;
/// Between two rounds.
const PACE: Duration = Duration::from_millis(2);
/// Every so many rounds the machine's own lease is asked for as well.
const OWN: u32 = 20;

/// The machine's DHCPDISCOVER, until its offer comes.
pub(super) fn offer() -> anyhow::Result<()> {
    let socket = dhcp_socket()?;
    let mac: Mac = MAC.parse()?;
    let discover = dhcp(DISCOVER, mac.octets(), TRANSACTION);
    socket.send_to(&discover, (Ipv4Addr::BROADCAST, 67))?;
    let end = Instant::now() + LIMIT;
    let mut answer = [0; 1500];
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        ensure!(!rest.is_zero(), "no offer within {LIMIT:?}");
        socket.set_read_timeout(Some(rest))?;
        let length = socket.recv(&mut answer).context("no offer")?;
        let ours = length > 240 && answer[0] == 2 && answer[4..8] == TRANSACTION.to_be_bytes();
        if ours && answer[16..20] == MACHINE.octets() {
            return Ok(());
        }
    }
}

/// The machine's read request, until its first answer comes.
pub(super) fn first_block() -> anyhow::Result<()> {
    let socket = UdpSocket::bind((MACHINE, 0))?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.send_to(&read_request(), (SERVER, 69))?;
    let mut answer = [0; 1500];
    let (length, peer) = socket.recv_from(&mut answer).context("no answer by TFTP")?;
    // DATA, or the acknowledgement of options (RFC 2347).
    ensure!(
        length >= 4 && [3, 6].contains(&answer[1]),
        "{:?}",
        &answer[..length]
    );
    socket.send_to(b"\0\x05\0\0enough\0", peer)?;
    Ok(())
}

/// A flood that goes on.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    going_on: JoinHandle<anyhow::Result<u32>>,
}

impl Flood {
    pub(super) fn start(network: &ClientNamespace) -> anyhow::Result<Flood> {
        let stop = Arc::new(AtomicBool::new(false));
        let (end, namespace) = (stop.clone(), network.file()?);
        let going_on = std::thread::spawn(move || {
            namespace.enter()?;
            let socket = dhcp_socket()?;
            let mut sources = NEIGHBOURS.map(neighbour).cycle();
            let mut rounds = 0;
            while rounds < ROUNDS && !end.load(Ordering::Relaxed) {
                round(&socket, rounds, sources.next().context("no neighbour")?)?;
                rounds += 1;
                std::thread::sleep(PACE);
            }
            Ok(rounds)
        });
        Ok(Flood { stop, going_on })
    }

    /// Ends it and says how many rounds it had.
    pub(super) fn end(self) -> anyhow::Result<u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.going_on.join().ok().context("the flood panicked")?
    }
}

fn round(socket: &UdpSocket, number: u32, source: Ipv4Addr) -> anyhow::Result<()> {
    let to = SocketAddr::from((Ipv4Addr::BROADCAST, 67));
    let [_, a, b, c] = number.to_be_bytes();
    for each in 0..5 {
        let discover = dhcp(DISCOVER, [0x02, 0xff, a, b, c, each], number);
        // A full send buffer is no failure of the appliance.
        let _ = socket.send_to(&discover, to);
    }
    if number.is_multiple_of(OWN) {
        let mac: Mac = MAC.parse()?;
        let _ = socket.send_to(&dhcp(REQUEST, mac.octets(), number), to);
    }
    let stranger = UdpSocket::bind((source, 0))?;
    let _ = stranger.send_to(&read_request(), (SERVER, 69));
    Ok(())
}

/// The port of DHCP clients on the cable.
fn dhcp_socket() -> anyhow::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(CLIENT_LINK.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 68)).into())?;
    Ok(socket.into())
}

/// A packet of a PXE client that wants its answer by broadcast (RFC 2131 §2, RFC 4578).
fn dhcp(kind: u8, mac: [u8; 6], transaction: u32) -> Vec<u8> {
    let mut packet = vec![0; 236];
    packet[..4].copy_from_slice(&[1, 1, 6, 0]);
    packet[4..8].copy_from_slice(&transaction.to_be_bytes());
    packet[10] = 0x80;
    packet[28..34].copy_from_slice(&mac);
    packet.extend([99, 130, 83, 99, 53, 1, kind, 93, 2, 0, 7, 60, 9]);
    packet.extend(b"PXEClient");
    if kind == REQUEST {
        packet.extend([50, 4]);
        packet.extend(MACHINE.octets());
    }
    packet.push(255);
    packet
}

fn read_request() -> Vec<u8> {
    format!("\0\u{1}{FILE}\0octet\0").into_bytes()
}
