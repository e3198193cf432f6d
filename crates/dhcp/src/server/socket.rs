//! The UDP/67 socket of one interface: bound to the device, with room for a boot storm, replies from the site's
//! address.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::frames::Frames;
use super::ports::{CLIENT_PORT, SERVER_PORT};
use crate::engine::{Destination, Reply};
use crate::error::Error;

/// Room for about 20 000 packets: the default of most systems loses a storm of 300.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Longer datagrams are cut and then refused.
const LONGEST: usize = 1501;
/// Datagrams that one system call takes.
const BATCH: usize = 128;
/// How long a reply may wait for room in the send queue.
const SEND_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct DhcpSocket {
    socket: Socket,
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
        Ok(Self {
            socket,
            index,
            source,
        })
    }

    /// Waits for a packet or for `wake`, which is reset; look then for what it stands for.
    pub(crate) fn wait(&self, wake: &EventFd) -> io::Result<()> {
        let mut both = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut both, PollTimeout::NONE)
            .map(drop)
            .or_else(unless_interrupted)?;
        let [_, wakes] = both;
        if wakes.any() == Some(true) {
            // It may have been reset already.
            let _ = wake.read();
        }
        Ok(())
    }

    /// Takes the packets that are there, as many as `packets` has room for; false if there is none.
    pub(crate) fn receive(&self, packets: &mut Packets) -> io::Result<bool> {
        packets.received.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = packets
            .buffers
            .chunks_mut(LONGEST)
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let taken = recvmmsg(
            self.socket.as_raw_fd(),
            &mut packets.headers,
            &mut slices,
            flags,
            None,
        );
        match taken {
            Ok(messages) => {
                let facts = messages.map(|message| {
                    let source = message.address.map_or(Ipv4Addr::UNSPECIFIED, |from| from.ip());
                    (message.bytes, source)
                });
                packets.received.extend(facts);
                Ok(!packets.received.is_empty())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends a reply to where the engine said: to a client without address as a frame, and by broadcast if that fails.
    pub(crate) fn send(&self, reply: &Reply, frames: &mut Frames) -> io::Result<()> {
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
        self.transmit(&reply.bytes, to)
    }

    fn transmit(&self, bytes: &[u8], to: SocketAddrV4) -> io::Result<()> {
        let end = Instant::now() + SEND_WAIT;
        loop {
            match self.try_transmit(bytes, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                    let mut socket = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut socket, limit).map(drop).or_else(unless_interrupted)?;
                }
                done => return done,
            }
        }
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
            let (slices, flags, to) = (
                [IoSlice::new(bytes)],
                MsgFlags::MSG_DONTWAIT,
                SockaddrIn::from(to),
            );
            sendmsg(self.socket.as_raw_fd(), &slices, control, flags, Some(&to)).map_err(io::Error::from)
        };
        match send(&[ControlMessage::Ipv4PacketInfo(&source)]) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // The site's address may not be on this host yet: any source is better than silence.
            Err(_) => send(&[]).map(|_| ()),
        }
    }
}

/// Packets that were taken together.
pub(crate) struct Packets {
    headers: MultiHeaders<SockaddrIn>,
    /// One piece of [`LONGEST`] bytes for each packet.
    buffers: Vec<u8>,
    /// Length and source of each.
    received: Vec<(usize, Ipv4Addr)>,
}

impl Packets {
    pub(crate) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![0; BATCH.saturating_mul(LONGEST)],
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Each packet with the address that it came from.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Ipv4Addr)> {
        let buffers = self.buffers.chunks(LONGEST);
        self.received
            .iter()
            .zip(buffers)
            .map(|((length, source), buffer)| (buffer.get(..*length).unwrap_or(buffer), *source))
    }
}

/// A signal handler may interrupt a wait; the caller looks again anyway.
fn unless_interrupted(errno: Errno) -> io::Result<()> {
    match errno {
        Errno::EINTR => Ok(()),
        errno => Err(errno.into()),
    }
}
