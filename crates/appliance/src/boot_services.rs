//! The boot services on `interface` and `address`: DHCP, TFTP, HTTP, metadata, and the answer to iPXE's router
//! solicitation. Everything is bound before any of it runs, so a clash is an error that names its setting.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use boot_script::{EventSender, SiteSettings, ViewHandle};
use tokio::net::TcpListener;

use crate::address::{self, BoundAddress};
use crate::error::Error;
use crate::foundation::Foundation;
use crate::gates;
use crate::listener::Listener;
use crate::settings::Settings;
use crate::tasks::Tasks;

/// Ports that older images ask for metadata, beside the HTTP port.
const METADATA_PORTS: [u16; 2] = [7172, 50061];
const TFTP: u16 = 69;

/// Where the services are; `None` when the appliance has no network for machines.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) interface: String,
    pub(crate) address: Ipv4Addr,
}

/// Settings of the site for scripts and engines. Without an address they only serve the view.
pub(crate) fn site_settings(foundation: &Foundation, address: Ipv4Addr) -> SiteSettings {
    let settings = &foundation.settings;
    SiteSettings {
        http_port: settings.http_port,
        agent_port: settings.agent_port,
        unknown: settings.unknown_machines,
        idle_installer: settings.idle_installer,
        kernel_arguments: settings.kernel_arguments.clone(),
        ..SiteSettings::new(settings.site.clone(), address)
    }
}

/// Starts the services; gives the address to release at the end.
pub(crate) async fn start(
    foundation: &Foundation,
    site: &Site,
    view: &Arc<ViewHandle>,
    events: &EventSender,
    tasks: &mut Tasks,
    listeners: &mut Vec<Listener>,
) -> Result<BoundAddress, Error> {
    let boot = foundation.parts.as_ref().ok_or(Error::NoParts)?.boot();
    let bound = address::ensure(&site.interface, site.address).await?;
    let started = start_on(foundation, site, &boot, view, events, tasks, listeners).await;
    match started {
        Ok(()) => Ok(bound),
        Err(error) => {
            bound.release().await;
            Err(error)
        }
    }
}

async fn start_on(
    foundation: &Foundation,
    site: &Site,
    boot: &Path,
    view: &Arc<ViewHandle>,
    events: &EventSender,
    tasks: &mut Tasks,
    listeners: &mut Vec<Listener>,
) -> Result<(), Error> {
    let settings = site_settings(foundation, site.address);
    let mut add = |what, place| listeners.push(Listener { what, place });

    let tftp = tftp::Server::bind(tftp::Config {
        address: SocketAddr::from((site.address, TFTP)),
        files: tftp_files(boot)?,
    });
    let tftp = tftp.await.map_err(Error::part("TFTP"))?;
    let dhcp = dhcp::Server::bind(dhcp::Config {
        interface: site.interface.clone(),
        site: settings.clone(),
    });
    let dhcp = dhcp.map_err(Error::part("DHCP"))?;
    let http = bind("HTTP", site.address, foundation.settings.http_port, "httpPort")?;
    let mut metadata_listeners = Vec::new();
    for port in METADATA_PORTS {
        metadata_listeners.push(bind("metadata", site.address, port, "address")?);
    }

    let config = netboot::Config {
        site: settings,
        boot_dir: boot.to_owned(),
        images_dir: foundation.data().join("images/sha256"),
        site_ca: foundation.ca.ca_pem().to_owned(),
    };
    let deps = netboot::Deps {
        view: view.clone(),
        events: events.clone(),
    };
    let metadata_deps = metadata::Deps {
        view: view.clone(),
        events: events.clone(),
    };
    let metadata_router = metadata::router(metadata_config(&foundation.settings), metadata_deps);
    let router = netboot::router(config, deps)
        .map_err(Error::part("HTTP"))?
        .merge(metadata_router.clone());

    add("DHCP", format!("{}:67/udp", site.interface));
    let deps = dhcp::Deps {
        view: view.clone(),
        records: foundation.records.clone(),
        events: events.clone(),
    };
    tasks.spawn_infallible("DHCP", dhcp.run(deps, tasks.cancel()));
    add("TFTP", format!("{}:{TFTP}/udp", site.address));
    let deps = tftp::Deps {
        view: view.clone(),
        events: events.clone(),
    };
    tasks.spawn_infallible("TFTP", tftp.run(deps, tasks.cancel()));
    add(
        "HTTP and metadata",
        format!("http://{}:{}", site.address, foundation.settings.http_port),
    );
    // One gate: a peer has its places once, not once for each port.
    let gate = gates::for_machines("HTTP", netboot::SHARES, view, events);
    tasks.spawn_infallible(
        "HTTP",
        netboot::run_http(http, gate.clone(), router, tasks.cancel()),
    );
    for (listener, port) in metadata_listeners.into_iter().zip(METADATA_PORTS) {
        add("metadata", format!("http://{}:{port}", site.address));
        tasks.spawn_infallible(
            "metadata",
            netboot::run_http(listener, gate.clone(), metadata_router.clone(), tasks.cancel()),
        );
    }
    if foundation.settings.router_advertisement {
        add(
            "router advertisement",
            format!("{} (no prefix, lifetime 0)", site.interface),
        );
        let advertiser = dhcp::RouterAdvertiser::new(&site.interface);
        tasks.spawn_infallible("router advertisement", advertiser.run(tasks.cancel()));
    }
    Ok(())
}

fn metadata_config(settings: &Settings) -> metadata::Config {
    let serve_user_data_by_address = settings.serve_user_data_by_address;
    if serve_user_data_by_address {
        tracing::warn!(
            "serveUserDataByAddress is on: whoever has a machine's address can read the user data of its Hardware"
        );
    }
    metadata::Config {
        serve_user_data_by_address,
    }
}

/// Binds a TCP port of the boot services.
pub(crate) fn bind(
    what: &'static str,
    address: Ipv4Addr,
    port: u16,
    key: &'static str,
) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(IpAddr::V4(address), port);
    listeners::bind(address).map_err(|source| Error::Listen {
        what,
        address,
        key,
        source,
    })
}

/// Every boot loader of the folder.
fn tftp_files(boot: &Path) -> Result<tftp::Files, Error> {
    let entries = std::fs::read_dir(boot).map_err(Error::file("read", boot))?;
    let names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".efi") || name.ends_with(".kpxe"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    tftp::Files::read(boot, &names).map_err(Error::part("TFTP"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::Given;

    #[test]
    fn user_data_by_address_is_served_only_where_the_setting_says_so() {
        for (given, expected) in [(None, false), (Some("false"), false), (Some("true"), true)] {
            let given = given.map(|text| {
                let value = Given {
                    value: text.to_owned(),
                    place: "flag --serve-user-data-by-address".to_owned(),
                };
                ("serveUserDataByAddress", value)
            });
            let settings = Settings::load(None, &BTreeMap::from_iter(given)).unwrap();
            assert_eq!(metadata_config(&settings).serve_user_data_by_address, expected);
        }
    }
}
