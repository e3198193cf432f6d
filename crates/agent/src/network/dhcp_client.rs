//! The client's sockets and its patience.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::dhcp::{Lease, Reply, Wanted, message, parse};
use crate::inventory::Nic;
use crate::{Console, Error};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Waits for an answer, one after the other; the last is repeated.
const WAITS: [u64; 4] = [1, 2, 4, 8];
/// After this long without an answer the cable is looked at again.
const ROUND: Duration = Duration::from_secs(60);

/// Gets an address for the card.
pub(super) async fn obtain(nic: &Nic, console: &Console) -> Result<Lease, Error> {
    let socket = broadcast_socket(&nic.name)
        .map_err(Error::kernel(format!("opening a DHCP socket on {}", nic.name)))?;
    let start = Instant::now();
    let mut waits = WAITS.into_iter().chain(std::iter::repeat(8));
    while start.elapsed() < ROUND {
        let wait = Duration::from_secs(waits.next().unwrap_or(8));
        let transaction = rand::random();
        let seconds = u16::try_from(start.elapsed().as_secs()).unwrap_or(u16::MAX);
        let offer = exchange(&socket, nic, transaction, seconds, Wanted::Any, wait).await?;
        let Some(Reply::Offer(offered)) = offer else {
            console.say(format!(
                "no DHCP answer on {} yet ({} s)",
                nic.name,
                start.elapsed().as_secs()
            ));
            continue;
        };
        let wanted = Wanted::Offered(&offered);
        if let Some(Reply::Ack(lease)) = exchange(
            &socket,
            nic,
            transaction,
            seconds,
            wanted,
            wait.max(Duration::from_secs(4)),
        )
        .await?
        {
            return Ok(lease);
        }
    }
    Err(Error::NoDhcp {
        nic: nic.name.clone(),
    })
}

/// Renews the lease when half of it is over, for as long as the agent runs. A server that does not answer changes
/// nothing: the installation ends before long leases do, and losing the address would help nobody.
pub(super) fn keep(nic: Nic, lease: Lease, console: Console) {
    let Some(time) = lease.time else {
        return;
    };
    tokio::spawn(async move {
        let mut half = (time / 2).max(Duration::from_secs(10));
        loop {
            tokio::time::sleep(half).await;
            match renew(&nic, &lease).await {
                Ok(Some(Reply::Ack(_))) => half = (time / 2).max(Duration::from_secs(10)),
                Ok(Some(Reply::Nak)) => {
                    console.say(format!("the DHCP server no longer lends {}", lease.address));
                    half = Duration::from_secs(60);
                }
                Ok(_) | Err(_) => half = Duration::from_secs(30),
            }
        }
    });
}

async fn renew(nic: &Nic, lease: &Lease) -> Result<Option<Reply>, Error> {
    let socket = broadcast_socket(&nic.name).map_err(Error::kernel("opening a DHCP socket"))?;
    exchange(
        &socket,
        nic,
        rand::random(),
        0,
        Wanted::InUse(lease),
        Duration::from_secs(10),
    )
    .await
}

/// Sends one message and waits for an answer that fits.
async fn exchange(
    socket: &UdpSocket,
    nic: &Nic,
    transaction: u32,
    seconds: u16,
    wanted: Wanted<'_>,
    wait: Duration,
) -> Result<Option<Reply>, Error> {
    let octets = message(nic.mac, transaction, seconds, wanted)
        .map_err(std::io::Error::other)
        .map_err(Error::kernel("encoding a DHCP message"))?;
    let to = match wanted {
        Wanted::InUse(lease) => lease.server,
        _ => Ipv4Addr::BROADCAST,
    };
    // Without a link the kernel refuses to send: that is a lost packet like any other.
    let _ = socket.send_to(&octets, SocketAddrV4::new(to, SERVER_PORT)).await;
    let answer = async {
        let mut buffer = vec![0; 2048];
        loop {
            let Ok((length, _)) = socket.recv_from(&mut buffer).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let reply = parse(buffer.get(..length).unwrap_or_default(), nic.mac, transaction);
            let fits = matches!(
                (&reply, wanted),
                (Some(Reply::Offer(_)), Wanted::Any)
                    | (
                        Some(Reply::Ack(_) | Reply::Nak),
                        Wanted::Offered(_) | Wanted::InUse(_)
                    )
            );
            if fits {
                return reply;
            }
        }
    };
    Ok(timeout(wait, answer).await.ok().flatten())
}

fn broadcast_socket(interface: &str) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    UdpSocket::from_std(socket.into())
}
