//! dnsmasq, which does DHCP and TFTP alone.

use std::path::Path;
use std::process::Command;

use crate::benches::cable::{Cable, SERVER_LINK};
use crate::benches::leftovers;
use crate::benches::machines::spelled;
use crate::benches::probes::{self, MAC, RESERVED};
use crate::benches::process::{Process, installed};

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
    let mut command = Command::new(installed("/usr/sbin/dnsmasq", "dnsmasq-base")?);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
    ]);
    command.args(["--bind-interfaces", "--no-ping", "--pid-file", "--enable-tftp"]);
    command.arg(format!("--interface={SERVER_LINK}"));
    command.arg(format!("--dhcp-range={RESERVED},static,1h"));
    command.arg(format!("--dhcp-host={mac},{RESERVED}"));
    command.arg(format!("--tftp-root={}", boot.display()));
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
