//! Boot data of a reply: next server, file, and the PXE and iPXE options (tinkerbell.md 2.3 to 2.5).
//!
//! iPXE of any make gets the script's URL, since the binary that we chain to is stock iPXE. Its version cannot tell
//! our binary from an older one in a card's ROM: Debian's build does not say what it is.

use std::net::Ipv4Addr;

use boot_script::{BootTarget, Decision, SiteSettings};

use super::binary::program_for;
use super::client::{Client, Program};
use super::packet::Request;

/// What Tinkerbell names when a machine must not boot from the network; no service has such a file.
const NOT_ALLOWED: &str = "/netboot-not-allowed";

/// Boot data for one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootData {
    pub(crate) next_server: Ipv4Addr,
    /// Field `file`, or option 67 if it is too long for that.
    pub(crate) file: String,
    pub(crate) options: Vec<(u8, Vec<u8>)>,
}

/// Boot data for a client; `None` when it gets an address only.
pub(crate) fn boot_data(
    request: &Request,
    client: &Client,
    target: &BootTarget,
    decision: &Decision,
    site: &SiteSettings,
) -> Option<BootData> {
    let interface = target.interface()?;
    let dhcp = interface.dhcp.as_ref()?;
    if let (Some(server), Some(file)) = (&dhcp.tftp_server_name, &dhcp.boot_file_name) {
        return Some(users_own(server, file));
    }
    let netboot = interface.netboot.as_ref()?;
    if client.program == Program::System {
        return None;
    }
    let own_binary = netboot.ipxe.as_ref().and_then(|ipxe| ipxe.binary.as_deref());
    let binary = own_binary.or_else(|| client.arch.and_then(program_for));
    let file = if decision.boots() {
        file_for(request, client, binary, site)
    } else {
        None
    };
    let mut options = vec![(43, vec![6, 1, 8, 255])];
    if client.program == Program::HttpBoot {
        options.push((60, b"HTTPClient".to_vec()));
    }
    if client.program == Program::Ipxe {
        // no-pxedhcp (176): the reply is complete, so iPXE need not look for a proxy.
        options.push((175, vec![176, 1, 1]));
    }
    if let Some(guid) = &client.guid {
        options.push((97, guid.clone()));
    }
    Some(match file {
        Some(file) => BootData {
            next_server: site.server_address,
            file,
            options,
        },
        // A whole URL, so that HTTP firmware gets its 404 at once and does not wait for nobody.
        None if client.program == Program::HttpBoot => BootData {
            next_server: site.server_address,
            file: format!("{}{NOT_ALLOWED}", site.http_base()),
            options,
        },
        None => BootData {
            next_server: Ipv4Addr::UNSPECIFIED,
            file: NOT_ALLOWED.to_owned(),
            options,
        },
    })
}

fn file_for(request: &Request, client: &Client, binary: Option<&str>, site: &SiteSettings) -> Option<String> {
    let mac = request.mac;
    match client.program {
        Program::Ipxe => Some(format!("{}/ipxe/script/{mac}/auto.ipxe", site.http_base())),
        Program::HttpBoot => binary.map(|binary| format!("{}/ipxe/binary/{mac}/{binary}", site.http_base())),
        Program::Pxe => binary.map(str::to_owned),
        Program::System => None,
    }
}

/// What the user set replaces everything else.
fn users_own(server: &str, file: &str) -> BootData {
    BootData {
        next_server: server.parse().unwrap_or(Ipv4Addr::UNSPECIFIED),
        file: file.to_owned(),
        options: vec![(66, server.as_bytes().to_vec()), (67, file.as_bytes().to_vec())],
    }
}
