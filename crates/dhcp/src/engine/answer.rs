//! The server's side of RFC 2131 for reservations: what each message is answered with, and to whom.
//!
//! | message | answer |
//! |---|---|
//! | DISCOVER | OFFER of the reserved address |
//! | REQUEST that names another server | nothing |
//! | REQUEST for the reserved address (options 54 and 50, option 50, or ciaddr) | ACK, after its lease is committed |
//! | REQUEST for any other address | NAK |
//! | INFORM | ACK without an address |
//! | DECLINE, RELEASE | nothing; an event |
//! | anything of a MAC that no Hardware names, or with `disableDhcp` | nothing |

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use boot_script::{Asker, BootTarget, BootView, Lookup, SiteSettings, decide};
use jiff::Timestamp;
use resources::Mac;
use resources::tinkerbell::Dhcp;

use super::boot::{BootData, boot_data};
use super::client::Client;
use super::packet::{BROADCAST_FLAG, MessageType, PacketError, Request};
use super::reply::Draft;
use super::reservation;

/// Where a reply goes; always to port 68, but to a relay on port 67.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The relay that forwarded the request.
    Relay(Ipv4Addr),
    /// A client that has this address.
    Address(Ipv4Addr),
    /// A client that does not have its address yet but takes unicast at this MAC.
    Unconfigured(Ipv4Addr, Mac),
    /// Everybody on the link.
    Broadcast,
}

/// A lease to be committed before the reply leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Address.
    pub address: Ipv4Addr,
    /// Seconds.
    pub seconds: u32,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Message type.
    pub kind: MessageType,
    /// Datagram.
    pub bytes: Vec<u8>,
    /// Where to.
    pub destination: Destination,
    /// What must be durable first.
    pub lease: Option<Lease>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this.
    Reply(Reply),
    /// Send nothing, for this reason.
    Silent(String),
}

/// What to do about a packet, and what to tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What to do.
    pub action: Action,
    /// Message type, if it is a request at all.
    pub kind: Option<MessageType>,
    /// Client, if it is a request at all.
    pub mac: Option<Mac>,
    /// Machine, if Hardware names it.
    pub target: Option<Arc<BootTarget>>,
    /// One line for people.
    pub text: String,
}

/// Answers a datagram. `source` is the address that it came from.
#[must_use]
pub fn answer(
    packet: &[u8],
    source: Ipv4Addr,
    view: &BootView,
    site: &SiteSettings,
    now: Timestamp,
) -> Outcome {
    let request = match Request::read(packet) {
        Ok(request) => request,
        Err(error) => return unread(error),
    };
    let subject = view.by_mac(request.mac);
    let target = subject.known().cloned();
    let action = match &target {
        None => Action::Silent(why_nobody(subject)),
        Some(target) => for_machine(&request, source, target, site, now),
    };
    let text = describe(&request, &action);
    Outcome {
        action,
        kind: Some(request.kind),
        mac: Some(request.mac),
        target,
        text,
    }
}

fn unread(error: PacketError) -> Outcome {
    let text = error.to_string();
    Outcome {
        action: Action::Silent(text.clone()),
        kind: None,
        mac: None,
        target: None,
        text,
    }
}

fn why_nobody(subject: Lookup<'_>) -> String {
    match subject {
        Lookup::NotLoaded => "the appliance is still reading its objects".to_owned(),
        Lookup::Ambiguous(names) => format!("several Hardware objects have this MAC: {}", names.join(", ")),
        Lookup::Unknown | Lookup::Known(_) => "no Hardware has this MAC".to_owned(),
    }
}

fn for_machine(
    request: &Request,
    source: Ipv4Addr,
    target: &Arc<BootTarget>,
    site: &SiteSettings,
    now: Timestamp,
) -> Action {
    let silent = |why: &str| Action::Silent(why.to_owned());
    let Some(interface) = target.interface() else {
        return silent("the interface is gone");
    };
    if interface.disable_dhcp {
        return silent("disableDhcp is set");
    }
    let Some((dhcp, address)) = interface.dhcp.as_ref().zip(target.address()) else {
        return silent("the interface has no IPv4 address");
    };
    let server = site.server_address;
    let ours = request.options.address(54).is_none_or(|id| id == server);
    match request.kind {
        MessageType::Discover => {
            let draft = lease_reply(MessageType::Offer, request, target, (dhcp, address), site, now);
            send(draft, request, site, None)
        }
        MessageType::Request if !ours => silent("the request is for another DHCP server"),
        MessageType::Request => match wanted(request) {
            None => silent("the request names no address"),
            Some(wanted) if wanted == address => {
                let draft = lease_reply(MessageType::Ack, request, target, (dhcp, address), site, now);
                let seconds = reservation::lease_time(dhcp);
                send(draft, request, site, Some(Lease { address, seconds }))
            }
            Some(wanted) => {
                let mut draft = Draft::new(MessageType::Nak, request);
                if !request.giaddr.is_unspecified() {
                    // The relay must not try to reach a client by the address that it is being denied.
                    draft.flags |= BROADCAST_FLAG;
                }
                draft
                    .options
                    .push((56, format!("{wanted} is not yours; {address} is").into_bytes()));
                send(draft, request, site, None)
            }
        },
        MessageType::Inform => {
            let mut draft = Draft::new(MessageType::Ack, request);
            draft.ciaddr = if request.ciaddr.is_unspecified() {
                source
            } else {
                request.ciaddr
            };
            add_boot_data(&mut draft, request, target, site, now);
            draft.options.extend(reservation::options(dhcp));
            send(draft, request, site, None)
        }
        MessageType::Decline if ours => silent("the client says that its address is in use by somebody else"),
        MessageType::Release if ours => silent("released"),
        MessageType::Decline | MessageType::Release => silent("meant for another DHCP server"),
        MessageType::Offer | MessageType::Ack | MessageType::Nak => silent("no client sends that"),
    }
}

/// The address that a REQUEST asks for: option 50 when selecting or after a reboot, ciaddr when renewing.
fn wanted(request: &Request) -> Option<Ipv4Addr> {
    let using = Some(request.ciaddr).filter(|address| !address.is_unspecified());
    request.options.address(50).or(using)
}

fn lease_reply(
    kind: MessageType,
    request: &Request,
    target: &Arc<BootTarget>,
    (dhcp, address): (&Dhcp, Ipv4Addr),
    site: &SiteSettings,
    now: Timestamp,
) -> Draft {
    let mut draft = Draft::new(kind, request);
    if kind == MessageType::Ack {
        draft.ciaddr = request.ciaddr;
    }
    draft.yiaddr = address;
    draft
        .options
        .push((51, reservation::lease_time(dhcp).to_be_bytes().to_vec()));
    add_boot_data(&mut draft, request, target, site, now);
    draft.options.extend(reservation::options(dhcp));
    draft
}

fn add_boot_data(
    draft: &mut Draft,
    request: &Request,
    target: &Arc<BootTarget>,
    site: &SiteSettings,
    now: Timestamp,
) {
    draft.siaddr = site.server_address;
    let client = Client::of(request);
    // Only whether the machine boots at all matters here; what it boots is in the script.
    let decision = decide(Lookup::Known(target), Asker::Machine, site, now);
    if let Some(BootData {
        next_server,
        file,
        options,
    }) = boot_data(request, &client, target, &decision, site)
    {
        draft.siaddr = next_server;
        draft.file = file;
        draft.options.extend(options);
    }
}

fn send(draft: Draft, request: &Request, site: &SiteSettings, lease: Option<Lease>) -> Action {
    let destination = destination(&draft, request);
    let bytes = draft.encode(request, site.server_address);
    Action::Reply(Reply {
        kind: draft.kind,
        bytes,
        destination,
        lease,
    })
}

/// RFC 2131 section 4.1.
fn destination(draft: &Draft, request: &Request) -> Destination {
    if !request.giaddr.is_unspecified() {
        Destination::Relay(request.giaddr)
    } else if draft.kind == MessageType::Nak {
        Destination::Broadcast
    } else if !draft.ciaddr.is_unspecified() {
        Destination::Address(draft.ciaddr)
    } else if request.wants_broadcast() || draft.yiaddr.is_unspecified() {
        Destination::Broadcast
    } else {
        Destination::Unconfigured(draft.yiaddr, request.mac)
    }
}

fn describe(request: &Request, action: &Action) -> String {
    let mut text = request.kind.name().to_owned();
    if let Some(class) = request.options.get(60) {
        let printable = class
            .iter()
            .take(32)
            .filter(|byte| byte.is_ascii_graphic())
            .map(|byte| char::from(*byte));
        let _ = write!(text, " ({})", printable.collect::<String>());
    }
    if !request.giaddr.is_unspecified() {
        let _ = write!(text, " by relay {}", request.giaddr);
    }
    match action {
        Action::Silent(why) => {
            let _ = write!(text, ": no answer, {why}");
        }
        Action::Reply(reply) => {
            let _ = write!(text, ": {}", reply.kind.name());
            if let Some(address) = reply.bytes.get(16..20).filter(|octets| **octets != [0; 4]) {
                let _ = write!(
                    text,
                    " {}",
                    address.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
                );
            }
            let file: String = reply
                .bytes
                .iter()
                .skip(108)
                .take(128)
                .take_while(|byte| **byte != 0)
                .map(|b| char::from(*b))
                .collect();
            if !file.is_empty() {
                let _ = write!(text, ", boots {file}");
            }
        }
    }
    text
}
