//! The raw ICMPv6 socket that answers router solicitations on one interface.

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::engine::router::{Advertisement, advertisement, is_solicitation};
use crate::error::Error;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Answers in one second, over all hosts.
const PER_SECOND: u32 = 200;
/// Pause before the socket is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Answers router solicitations: there is no router, do not wait. Until the interface has what that needs (it is up and
/// has a link-local address), it is tried again and again.
#[derive(Debug)]
pub struct RouterAdvertiser {
    interface: String,
}

/// The socket of one interface.
#[derive(Debug)]
struct Open {
    // A raw socket; this type only registers it with the runtime.
    socket: UdpSocket,
    index: u32,
    message: [u8; 24],
}

/// What is logged: each reason once until it works again.
#[derive(Debug, Default)]
struct Troubles(Option<String>);

impl Troubles {
    fn log(&mut self, interface: &str, reason: String) {
        if self.0.as_ref() != Some(&reason) {
            tracing::warn!(
                interface,
                reason,
                "router solicitations are not answered yet; until they are, iPXE waits 16 s at each boot"
            );
            self.0 = Some(reason);
        }
    }

    fn over(&mut self, interface: &str) {
        if self.0.take().is_some() {
            tracing::info!(interface, "router solicitations are answered");
        }
    }
}

impl RouterAdvertiser {
    /// For an interface, which need not exist yet.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
        }
    }

    /// Answers until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let mut troubles = Troubles::default();
        loop {
            let failure: Error = match Open::on(&self.interface) {
                Ok(open) => tokio::select! {
                    () = cancel.cancelled() => return,
                    failure = self.serve(&open, &mut troubles) => failure,
                },
                Err(failure) => failure,
            };
            troubles.log(&self.interface, reason(&failure));
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Answers until the socket does not receive any more.
    async fn serve(&self, open: &Open, troubles: &mut Troubles) -> Error {
        let mut budget = Budget::default();
        loop {
            match open.receive().await {
                Ok(Some(from)) if budget.take(Timestamp::now().as_second()) => match open.answer(from) {
                    Ok(()) => troubles.over(&self.interface),
                    Err(error) => troubles.log(&self.interface, error.to_string()),
                },
                Ok(_) => {}
                Err(source) => {
                    return Error::Advertiser {
                        step: "receive",
                        interface: self.interface.clone(),
                        source,
                    };
                }
            }
        }
    }
}

fn reason(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

impl Open {
    fn on(interface: &str) -> Result<Self, Error> {
        let index = nix::net::if_::if_nametoindex(interface).map_err(|errno| Error::Interface {
            name: interface.to_owned(),
            source: errno.into(),
        })?;
        let failed = |step| {
            move |source| Error::Advertiser {
                step,
                interface: interface.to_owned(),
                source,
            }
        };
        let link_address = link_address(interface).map_err(failed("read the hardware address"))?;
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))
            .map_err(failed("open a raw socket"))?;
        let set_up = || {
            socket.set_nonblocking(true)?;
            socket.bind_device(Some(interface.as_bytes()))?;
            // Receivers drop what could have been forwarded (RFC 4861 section 6.1.2).
            socket.set_unicast_hops_v6(255)?;
            socket.set_multicast_hops_v6(255)?;
            socket.set_multicast_if_v6(index)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            socket.join_multicast_v6(&ALL_ROUTERS, index)
        };
        set_up().map_err(failed("set up the socket"))?;
        let socket = UdpSocket::from_std(socket.into()).map_err(failed("register the socket"))?;
        let message = advertisement(Advertisement { link_address });
        Ok(Self {
            socket,
            index,
            message,
        })
    }

    /// The sender of the next message, if it is a solicitation.
    async fn receive(&self) -> io::Result<Option<SocketAddrV6>> {
        self.socket
            .async_io(tokio::io::Interest::READABLE, || {
                let mut buffer = [0; 512];
                let mut control = nix::cmsg_space!(nix::libc::c_int);
                let mut slices = [IoSliceMut::new(&mut buffer)];
                let flags = MsgFlags::MSG_DONTWAIT;
                let message =
                    recvmsg::<SockaddrIn6>(self.socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
                let hop_limit = message.cmsgs()?.find_map(|control| match control {
                    ControlMessageOwned::Ipv6HopLimit(limit) => Some(limit),
                    _ => None,
                });
                let (from, length) = (message.address, message.bytes);
                let valid = is_solicitation(buffer.get(..length).unwrap_or_default(), hop_limit);
                Ok(from.filter(|_| valid).map(SocketAddrV6::from))
            })
            .await
    }

    fn answer(&self, from: SocketAddrV6) -> io::Result<()> {
        // A host that has no address yet is reached with all others.
        let to = if from.ip().is_unspecified() {
            ALL_NODES
        } else {
            *from.ip()
        };
        let to = SocketAddrV6::new(to, 0, 0, self.index);
        self.socket.try_send_to(&self.message, to.into()).map(|_| ())
    }
}

/// From the kernel and not from /sys, which may show another network namespace.
fn link_address(interface: &str) -> io::Result<[u8; 6]> {
    let mut all = nix::ifaddrs::getifaddrs()?.filter(|one| one.interface_name == interface);
    let octets = all.find_map(|one| one.address?.as_link_addr()?.addr());
    octets.ok_or_else(|| io::Error::other("it has no Ethernet address"))
}

/// Answers per second.
#[derive(Debug, Default)]
struct Budget {
    second: i64,
    used: u32,
}

impl Budget {
    fn take(&mut self, second: i64) -> bool {
        if second != self.second {
            *self = Self { second, used: 0 };
        }
        self.used = self.used.saturating_add(1);
        self.used <= PER_SECOND
    }
}
