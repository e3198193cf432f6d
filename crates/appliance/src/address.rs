//! The extra address of the boot services: looked for, probed, added, and taken away again at the end.

mod arp;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use clusters::AddressProbe;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use resources::Mac;

use crate::error::Error;

/// Probes before the address counts as free, and the time after each.
const PROBES: u32 = 3;
const AFTER_PROBE: Duration = Duration::from_millis(250);

/// An address that is on the interface now.
#[derive(Debug)]
pub(crate) struct BoundAddress {
    interface: String,
    address: Ipv4Addr,
    /// Whether we put it there.
    added: bool,
}

/// What the interface has.
#[derive(Debug, Default)]
struct Interface {
    link: Option<LinkAddr>,
    networks: Vec<(Ipv4Addr, u8)>,
}

impl Interface {
    /// The interface as a sender of Ethernet frames; loopback is none.
    fn ethernet(&self) -> Option<LinkAddr> {
        self.link
            .filter(|link| link.addr().is_some_and(|mac| mac != [0; 6]))
    }
}

/// The network of an interface, asked for the endpoints of clusters.
#[derive(Debug)]
pub(crate) struct InterfaceProbe(pub(crate) String);

impl AddressProbe for InterfaceProbe {
    fn holder(&self, address: Ipv4Addr) -> BoxFuture<'_, Result<Option<Mac>, String>> {
        async move {
            let found = look(&self.0).map_err(|error| error.to_string())?;
            let Some(link) = found.ethernet() else {
                return Ok(None);
            };
            let probed = tokio::task::spawn_blocking(move || Segment::open(link)?.holder(address)).await;
            let holder = probed.map_err(|error| error.to_string())?;
            holder.map_err(|error| format!("{}: {error}", self.0))
        }
        .boxed()
    }
}

/// Makes sure that the address is on the interface.
pub(crate) async fn ensure(interface: &str, address: Ipv4Addr) -> Result<BoundAddress, Error> {
    let failed = |reason: String| Error::Address {
        address,
        interface: interface.to_owned(),
        reason,
    };
    let found = look(interface)?;
    let present = found.networks.iter().any(|(known, _)| *known == address);
    if !present {
        if let Some(link) = found.ethernet() {
            let probed = tokio::task::spawn_blocking(move || {
                let segment = Segment::open(link)?;
                match segment.holder(address)? {
                    Some(mac) => Ok(Some(mac)),
                    None => segment.announce(address).map(|()| None),
                }
            });
            let holder = probed.await.map_err(|error| failed(error.to_string()))?;
            if let Some(mac) = holder.map_err(|error: nix::Error| failed(error.to_string()))? {
                return Err(Error::AddressTaken {
                    address,
                    holder: mac.to_string(),
                    interface: interface.to_owned(),
                });
            }
        }
        let prefix = prefix_for(&found.networks, address);
        add(interface, address, prefix)
            .await
            .map_err(|error| failed(error.to_string()))?;
        tracing::info!(interface, address = %address, prefix, "extra address added");
    }
    Ok(BoundAddress {
        interface: interface.to_owned(),
        address,
        added: !present,
    })
}

impl BoundAddress {
    /// Takes the address away if we added it.
    pub(crate) async fn release(self) {
        if !self.added {
            return;
        }
        if let Err(error) = remove(&self.interface, self.address).await {
            tracing::warn!(interface = %self.interface, address = %self.address, error = %error, "extra address stays");
        }
    }
}

fn look(name: &str) -> Result<Interface, Error> {
    let mut found = None::<Interface>;
    let mut known = Vec::new();
    for entry in getifaddrs().into_iter().flatten() {
        if entry.interface_name != name {
            known.push(entry.interface_name);
            continue;
        }
        let interface = found.get_or_insert_default();
        let Some(address) = entry.address else { continue };
        if let Some(link) = address.as_link_addr() {
            interface.link = Some(*link);
        }
        if let Some(ip) = address.as_sockaddr_in() {
            let mask = entry
                .netmask
                .as_ref()
                .and_then(|mask| mask.as_sockaddr_in().map(|mask| mask.ip()));
            let prefix = mask.map_or(32, |mask| {
                u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32)
            });
            interface.networks.push((ip.ip(), prefix));
        }
    }
    known.sort();
    known.dedup();
    found.ok_or_else(|| Error::Interface {
        name: name.to_owned(),
        known: known.join(", "),
    })
}

/// Prefix of the network of the interface that the address lies in; a host route when there is none.
fn prefix_for(networks: &[(Ipv4Addr, u8)], address: Ipv4Addr) -> u8 {
    let within = |(network, prefix): &&(Ipv4Addr, u8)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        network.to_bits() & mask == address.to_bits() & mask
    };
    networks.iter().find(within).map_or(32, |(_, prefix)| *prefix)
}

/// A network on which ARP is spoken.
struct Segment {
    socket: OwnedFd,
    own: arp::Octets,
}

impl Segment {
    fn open(link: LinkAddr) -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )?;
        bind(socket.as_raw_fd(), &link)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))?;
        Ok(Self {
            socket,
            own: link.addr().unwrap_or_default(),
        })
    }

    /// Who has the address, or wants it too. Nobody has it who stays silent for [`PROBES`] times [`AFTER_PROBE`].
    fn holder(&self, address: Ipv4Addr) -> nix::Result<Option<Mac>> {
        let mut frame = [0; 128];
        for _ in 0..PROBES {
            self.send(&arp::probe(self.own, address))?;
            let end = Instant::now() + AFTER_PROBE;
            while Instant::now() < end {
                let Ok(length) = recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) else {
                    continue;
                };
                let holder = arp::holder(frame.get(..length).unwrap_or_default(), self.own, address);
                if let Some(mac) = holder {
                    return Ok(Some(Mac::new(mac)));
                }
            }
        }
        Ok(None)
    }

    /// Tells everybody that the address is ours.
    fn announce(&self, address: Ipv4Addr) -> nix::Result<()> {
        self.send(&arp::announcement(self.own, address))
    }

    fn send(&self, frame: &[u8]) -> nix::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty()).map(drop)
    }
}

async fn add(
    interface: &str,
    address: Ipv4Addr,
    prefix: u8,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let task = tokio::spawn(connection);
    let index = if_nametoindex(interface)?;
    let done = handle
        .address()
        .add(index, IpAddr::V4(address), prefix)
        .execute()
        .await;
    task.abort();
    Ok(done?)
}

async fn remove(interface: &str, address: Ipv4Addr) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let task = tokio::spawn(connection);
    let index = if_nametoindex(interface)?;
    let filter = handle
        .address()
        .get()
        .set_link_index_filter(index)
        .set_address_filter(IpAddr::V4(address));
    let mut found = filter.execute();
    while let Some(message) = found.try_next().await? {
        handle.address().del(message).execute().await?;
    }
    task.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn the_prefix_is_that_of_the_network_around() {
        let networks = [
            (Ipv4Addr::new(10, 0, 0, 1), 24),
            (Ipv4Addr::new(192, 168, 1, 1), 16),
        ];
        assert_eq!(prefix_for(&networks, Ipv4Addr::new(10, 0, 0, 9)), 24);
        assert_eq!(prefix_for(&networks, Ipv4Addr::new(192, 168, 9, 9)), 16);
        assert_eq!(prefix_for(&networks, Ipv4Addr::new(172, 16, 0, 1)), 32);
    }

    #[tokio::test]
    async fn an_address_that_is_there_is_left_alone() {
        let bound = ensure("lo", Ipv4Addr::LOCALHOST).await.unwrap();
        assert!(!bound.added);
        bound.release().await;
    }

    #[tokio::test]
    async fn an_unknown_interface_is_named_with_those_that_exist() {
        let text = ensure("no-such-interface", Ipv4Addr::new(10, 0, 0, 1))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("no-such-interface") && text.contains("lo"),
            "{text}"
        );
    }

    /// Two hosts on a cable, in a namespace of this test's own: needs root and `ip`, and says so without them.
    #[test]
    fn who_answers_for_an_address_on_the_segment_is_found() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let ip = |line: &str| {
            let output = Command::new("ip").args(line.split(' ')).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ip {line}: {text}");
        };
        // Namespaces belong to threads, and what this one starts is in its own too.
        let asked = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let mut other = Command::new("unshare")
                .args(["--net", "sleep", "300"])
                .spawn()
                .unwrap();
            let path = format!("/proc/{}/ns/net", other.id());
            let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
            while std::fs::read_link(&path).is_ok_and(|link| link == own) {
                std::thread::yield_now();
            }
            ip(&format!(
                "link add near type veth peer name far address 02:00:5e:00:53:07 netns {}",
                other.id()
            ));
            ip("link set near up");
            let far = Command::new("nsenter")
                .args([&format!("--net={path}"), "sh", "-c"])
                .arg("ip address add 192.0.2.10/24 dev far && ip link set far up")
                .status();
            assert!(far.unwrap().success());
            let link = look("near").unwrap().ethernet().unwrap();
            let segment = Segment::open(link).unwrap();
            // The cable may take a moment to carry.
            let end = Instant::now() + Duration::from_secs(30);
            let mut taken = None;
            while taken.is_none() && Instant::now() < end {
                taken = segment.holder(Ipv4Addr::new(192, 0, 2, 10)).unwrap();
            }
            let free = segment.holder(Ipv4Addr::new(192, 0, 2, 11)).unwrap();
            other.kill().unwrap();
            other.wait().unwrap();
            (taken, free)
        });
        let (taken, free) = asked.join().unwrap();
        assert_eq!(taken, Some("02:00:5e:00:53:07".parse().unwrap()));
        assert_eq!(free, None);
    }
}
