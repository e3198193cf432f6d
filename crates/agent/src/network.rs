//! The machine's network: every card up (so that switches learn its address and LLDP is seen), DHCP on the boot NIC
//! alone.

pub mod dhcp;
mod dhcp_client;
mod links;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use resources::Mac;

use crate::inventory::{Nic, nics};
use crate::system::Modules;
use crate::{Console, Error};

/// Time in which the boot NIC must have shown up before the person at the console is told.
const PATIENCE: u32 = 30;

/// The configured boot NIC.
#[derive(Debug, Clone)]
pub struct Network {
    /// Card.
    pub nic: Nic,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Brings everything up; comes back with an address. Goes on trying, and says what it waits for.
pub async fn bring_up(boot_mac: Option<Mac>, modules: &Modules, console: &Console) -> Network {
    loop {
        match try_once(boot_mac, modules, console).await {
            Ok(network) => return network,
            Err(error) => console.say(format!("{}; trying again", error.line())),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn try_once(boot_mac: Option<Mac>, modules: &Modules, console: &Console) -> Result<Network, Error> {
    let nic = find(boot_mac, modules).await?;
    links::up(&nics(Path::new("/sys"))).await?;
    console.say(format!(
        "network card {} ({}), MAC {}: asking for an address",
        nic.name,
        nic.driver.as_deref().unwrap_or("no driver"),
        nic.mac
    ));
    let lease = dhcp_client::obtain(&nic, console).await?;
    links::configure(&nic, lease.address, lease.prefix, lease.router).await?;
    console.say(format!(
        "address {}/{} on {}",
        lease.address, lease.prefix, nic.name
    ));
    dhcp_client::keep(nic.clone(), lease.clone(), console.clone());
    Ok(Network {
        nic,
        address: lease.address,
    })
}

/// The boot NIC. Without a known address the first card that has a link, else the first.
async fn find(boot_mac: Option<Mac>, modules: &Modules) -> Result<Nic, Error> {
    let mut seen = Vec::new();
    for _ in 0..PATIENCE * 2 {
        seen = nics(Path::new("/sys"));
        let found = match boot_mac {
            Some(mac) => seen.iter().find(|nic| nic.mac == mac),
            None => seen.iter().find(|nic| nic.link == Some(true)).or(seen.first()),
        };
        if let Some(nic) = found {
            return Ok(nic.clone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        modules.load_for_devices();
    }
    let macs: Vec<String> = seen.iter().map(|nic| nic.mac.to_string()).collect();
    Err(Error::NoBootNic {
        mac: boot_mac.map_or_else(|| "(any)".to_owned(), |mac| mac.to_string()),
        found: if macs.is_empty() {
            "no network card".to_owned()
        } else {
            macs.join(", ")
        },
    })
}
