//! The machines of benchmarks: each has a number, from which its name, address and MAC address follow. They are behind the
//! client's end of the cable, whose namespace sends from any of their addresses.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;

use super::cable::{CLIENT, CLIENT_LINK, Cable};
use crate::command::done;

/// The network of the machines, and its netmask.
pub(super) const NETWORK: (&str, &str) = ("10.64.0.0/10", "255.192.0.0");
/// Their router, which is their DHCP relay as well.
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 127, 255, 254);
/// The first line of a hardware file.
pub(super) const HEAD: &str = "hostname,ip_address,netmask,gateway,nameservers,mac,disk,labels\n";

/// A machine's address.
pub(super) fn address(number: usize) -> Ipv4Addr {
    let [a, b, c] = low(number);
    Ipv4Addr::new(10, 64 + a, b, c)
}

/// A machine's MAC address.
pub(super) fn mac(number: usize) -> [u8; 6] {
    let [a, b, c] = low(number);
    [2, 0, 2, a, b, c]
}

/// A MAC address as text.
pub(super) fn spelled(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A machine's host name.
pub(super) fn name(number: usize) -> String {
    format!("node-{number}")
}

/// No benchmark has more machines than this keeps apart.
fn low(number: usize) -> [u8; 3] {
    let byte = |shift: u32| (number >> shift & 0xff) as u8;
    [byte(16), byte(8), byte(0)]
}

/// A hardware file of the machines from 1 on.
pub(super) fn csv(count: usize) -> String {
    let mut text = HEAD.to_owned();
    for number in 1..=count {
        let (name, address, mac) = (name(number), address(number), spelled(mac(number)));
        let mask = NETWORK.1;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{name},{address},{mask},{ROUTER},{ROUTER},{mac},/dev/sda,type=worker"
        );
    }
    text
}

/// Lets the client's namespace be all machines: their addresses are its own, and packets for them are sent there.
pub(super) fn connect(cable: &Cable) -> anyhow::Result<()> {
    for line in [
        format!(
            "-n {} route add local {} dev {CLIENT_LINK}",
            cable.client, NETWORK.0
        ),
        format!("-n {} route add {} via {CLIENT}", cable.server, NETWORK.0),
    ] {
        done(Command::new("ip").args(line.split(' ')))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_another_machine() {
        let text = csv(70_000);
        for index in [0, 1, 5] {
            let rows = text.lines().skip(1);
            let column: HashSet<&str> = rows.map(|row| row.split(',').nth(index).unwrap()).collect();
            assert_eq!(column.len(), 70_000, "column {index}");
        }
        let last = "node-70000,10.65.17.112,255.192.0.0,10.127.255.254,10.127.255.254,02:00:02:01:11:70,/dev/sda,type=worker\n";
        assert!(text.ends_with(last));
    }
}
