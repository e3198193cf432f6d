//! dnsmasq, which does DHCP and TFTP alone.

use std::path::Path;

use crate::benches::cable::{Cable, SERVER_LINK};
use crate::benches::machines::spelled;
use crate::benches::probes::{self, MAC, RESERVED};
use crate::benches::process::Process;
use crate::benches::{dnsmasq, leftovers};

/// One start of dnsmasq.
#[derive(Debug)]
pub(super) struct Dnsmasq {
    pub(super) offer: f64,
    pub(super) tftp: f64,
    pub(super) resident: f64,
}

/// Starts dnsmasq, which is installed when it is missing.
pub(super) fn start(cable: &Cable, boot: &Path) -> anyhow::Result<Dnsmasq> {
    let folder = leftovers::folder()?;
    let mac = spelled(MAC);
    let mut command = dnsmasq::command(boot)?;
    command.arg("--no-ping");
    command.arg(format!("--interface={SERVER_LINK}"));
    command.arg(format!("--dhcp-range={RESERVED},static,1h"));
    command.arg(format!("--dhcp-host={mac},{RESERVED}"));
    let leases = folder.path().join("leases");
    command.arg(format!("--dhcp-leasefile={}", leases.display()));
    let (offer, tftp) = (probes::dhcp(cable), probes::tftp(cable));
    let process = Process::start(&cable.server, command, &folder.path().join("log"))?;
    let offer = offer.since(process.began)?;
    let tftp = tftp.since(process.began)?;
    process.settle();
    let resident = process.resident()?;
    process.end()?;
    Ok(Dnsmasq {
        offer,
        tftp,
        resident,
    })
}
