//! The UDP/67 socket of one interface: bound to the device, with room for a boot storm, replies from the site's
//! address.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::frames::Frames;
use crate::engine::{Destination, Reply};
use crate::error::Error;

pub(super) const SERVER_PORT: u16 = 67;
pub(super) const CLIENT_PORT: u16 = 68;
/// Room for about 20 000 packets: the default of most systems loses a storm of 300.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Longer datagrams are cut and then refused.
const LONGEST: usize = 1501;
/// How long a reply may wait for room in the send queue.
const SEND_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct DhcpSocket {
    socket: UdpSocket,
    index: u32,
    source: Ipv4Addr,
}

impl DhcpSocket {
    pub(crate) fn bind(interface: &str, source: Ipv4Addr) -> Result<Self, Error> {
        let index = nix::net::if_::if_nametoindex(interface).map_err(|errno| Error::Interface {
            name: interface.to_owned(),
            source: errno.into(),
        })?;
        let failed = |step| {
            move |source| Error::Socket {
                step,
                interface: interface.to_owned(),
                source,
            }
        };
        let socket =
            Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).map_err(failed("open a socket"))?;
        let set_up = || {
            socket.set_nonblocking(true)?;
            socket.set_reuse_address(true)?;
            socket.set_broadcast(true)?;
            socket.bind_device(Some(interface.as_bytes()))
        };
        set_up().map_err(failed("set up the socket"))?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            // Without CAP_NET_ADMIN the system's limit holds.
            socket
                .set_recv_buffer_size(RECEIVE_BUFFER)
                .map_err(failed("size the receive buffer"))?;
            let bytes = socket.recv_buffer_size().unwrap_or(0);
            tracing::warn!(
                interface,
                bytes,
                "small DHCP receive buffer; a boot storm may lose packets"
            );
        }
        let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT);
        socket.bind(&address.into()).map_err(failed("bind UDP port 67"))?;
        let socket = UdpSocket::from_std(socket.into()).map_err(failed("register the socket"))?;
        Ok(Self {
            socket,
            index,
            source,
        })
    }

    /// Waits for a packet, then takes all that are there, up to `limit`.
    pub(crate) async fn receive(&self, limit: usize) -> io::Result<Vec<(Vec<u8>, Ipv4Addr)>> {
        let mut batch = Vec::new();
        let mut buffer = [0; LONGEST];
        self.socket.readable().await?;
        while batch.len() < limit {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((length, SocketAddr::V4(peer))) => {
                    batch.push((buffer.get(..length).unwrap_or_default().to_vec(), *peer.ip()));
                }
                Ok((_, SocketAddr::V6(_))) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if batch.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    /// Sends a reply to where the engine said: to a client without address as a frame, and by broadcast if that fails.
    pub(crate) async fn send(&self, reply: &Reply, frames: &mut Frames) -> io::Result<()> {
        let broadcast = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);
        let to = match reply.destination {
            Destination::Relay(address) => SocketAddrV4::new(address, SERVER_PORT),
            Destination::Address(address) => SocketAddrV4::new(address, CLIENT_PORT),
            Destination::Broadcast => broadcast,
            Destination::Unconfigured(address, mac) => {
                if frames.send(self.source, (address, mac), &reply.bytes) {
                    return Ok(());
                }
                broadcast
            }
        };
        self.transmit(&reply.bytes, to).await
    }

    async fn transmit(&self, bytes: &[u8], to: SocketAddrV4) -> io::Result<()> {
        let waiting = async {
            loop {
                match self.try_transmit(bytes, to) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                    done => return done,
                }
            }
        };
        tokio::time::timeout(SEND_WAIT, waiting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn try_transmit(&self, bytes: &[u8], to: SocketAddrV4) -> io::Result<()> {
        let source = nix::libc::in_pktinfo {
            ipi_ifindex: i32::try_from(self.index).unwrap_or(0),
            ipi_spec_dst: nix::libc::in_addr {
                s_addr: u32::from_ne_bytes(self.source.octets()),
            },
            ipi_addr: nix::libc::in_addr { s_addr: 0 },
        };
        let send = |control: &[ControlMessage<'_>]| {
            let (slices, flags) = ([IoSlice::new(bytes)], MsgFlags::MSG_DONTWAIT);
            self.socket.try_io(tokio::io::Interest::WRITABLE, || {
                let to = SockaddrIn::from(to);
                sendmsg(self.socket.as_raw_fd(), &slices, control, flags, Some(&to)).map_err(io::Error::from)
            })
        };
        match send(&[ControlMessage::Ipv4PacketInfo(&source)]) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // The site's address may not be on this host yet: any source is better than silence.
            Err(_) => send(&[]).map(|_| ()),
        }
    }
}
