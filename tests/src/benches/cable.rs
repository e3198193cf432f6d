//! Two network namespaces with a cable between them: a server's end with two addresses, and a client's.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::ensure;
use nix::unistd::Uid;

use super::leftovers;
use crate::command::done;

/// The server's interface.
pub(super) const SERVER_LINK: &str = "server0";
/// The client's interface.
pub(super) const CLIENT_LINK: &str = "client0";
/// The server's address.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The server's second address, for peers whose port is that of the appliance.
pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);
/// What the client sends from until it has a lease.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// Both namespaces; dropping it removes them.
#[derive(Debug)]
pub(super) struct Cable {
    pub(super) server: String,
    pub(super) client: String,
}

impl Cable {
    /// Lays one.
    pub(super) fn lay() -> anyhow::Result<Cable> {
        ensure!(Uid::effective().is_root(), "network namespaces need root");
        let cable = Cable {
            server: leftovers::name("server"),
            client: leftovers::name("client"),
        };
        let (server, client) = (&cable.server, &cable.client);
        for line in [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!("-n {server} link set lo up"),
            format!("-n {server} link add {SERVER_LINK} type veth peer name {CLIENT_LINK} netns {client}"),
            format!("-n {server} address add {SERVER}/24 dev {SERVER_LINK}"),
            format!("-n {server} address add {PEER}/24 dev {SERVER_LINK}"),
            format!("-n {client} address add {CLIENT}/24 dev {CLIENT_LINK}"),
            format!("-n {server} link set {SERVER_LINK} up"),
            format!("-n {client} link set {CLIENT_LINK} up"),
        ] {
            done(Command::new("ip").args(line.split(' ')))?;
        }
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            if let Err(error) = leftovers::remove_namespace(name) {
                eprintln!("{name} stays: {error:#}");
            }
        }
    }
}
