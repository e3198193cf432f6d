//! The addresses of the interface: the subnets of clients that are on its link.

use std::time::{Duration, Instant};

use boot_script::SiteSettings;
use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;

/// Addresses come and go while the service runs.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Networks {
    interface: String,
    own: Ipv4Net,
    read: Option<Instant>,
    networks: Vec<Ipv4Net>,
}

impl Networks {
    pub(crate) fn new(interface: &str, site: &SiteSettings) -> Self {
        Self {
            interface: interface.to_owned(),
            own: Ipv4Net::from(site.server_address),
            read: None,
            networks: Vec::new(),
        }
    }

    /// The addresses as of the last second; always also the one that is answered from.
    pub(crate) fn now(&mut self) -> &[Ipv4Net] {
        if self.read.is_none_or(|read| read.elapsed() > FRESH) {
            self.networks = vec![self.own];
            self.networks.extend(of(&self.interface));
            self.read = Some(Instant::now());
        }
        &self.networks
    }
}

/// From the kernel and not from /sys, which may show another network namespace.
fn of(interface: &str) -> Vec<Ipv4Net> {
    let all = getifaddrs().into_iter().flatten();
    let named = all.filter(|one| one.interface_name == interface);
    named
        .filter_map(|one| {
            let address = one.address?.as_sockaddr_in()?.ip();
            let mask = one.netmask?.as_sockaddr_in()?.ip();
            Ipv4Net::with_netmask(address, mask).ok()
        })
        .collect()
}
