//! The server's side of RFC 2131 for reservations: what each message is answered with, and to whom.
//!
//! | message | answer |
//! |---|---|
//! | DISCOVER | OFFER of the reserved address |
//! | REQUEST that names another server | nothing |
//! | REQUEST for the reserved address (options 54 and 50, option 50, or ciaddr) | ACK, after its lease is committed |
//! | REQUEST for another address of a subnet of ours | NAK |
//! | REQUEST for any other address | nothing |
//! | INFORM from the reserved address | ACK without an address |
//! | DECLINE, RELEASE | nothing; an event |
//! | anything from a subnet that the reservation is not in | nothing; an event |
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
use super::link::{Arrival, Reserved, elsewhere, is_ours, server_id_override};
use super::packet::{BROADCAST_FLAG, MessageType, PacketError, Request};
use super::reply::Draft;
use super::reservation;
use super::transactions::Transactions;

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
    /// Whether the client has the address already and asks to keep it.
    pub renewal: bool,
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

/// What a packet is answered from.
#[derive(Clone, Copy)]
struct Context<'a> {
    request: &'a Request,
    arrival: Arrival<'a>,
    view: &'a BootView,
    site: &'a SiteSettings,
    now: Timestamp,
}

/// Answers a datagram.
#[must_use]
pub fn answer(
    packet: &[u8],
    arrival: Arrival<'_>,
    transactions: &mut Transactions,
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
        Some(target) => {
            let context = Context {
                request: &request,
                arrival,
                view,
                site,
                now,
            };
            for_machine(context, target, transactions)
        }
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

fn for_machine(context: Context<'_>, target: &Arc<BootTarget>, transactions: &mut Transactions) -> Action {
    let Context {
        request,
        arrival,
        view,
        site,
        now,
    } = context;
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
    let reserved = Reserved {
        address,
        network: target.network(),
    };
    if let Some(why) = elsewhere(request, arrival, reserved, view) {
        return Action::Silent(why);
    }
    let server = server_id_override(request);
    let named = request.options.address(54);
    let ours = named.is_none_or(|id| id == site.server_address || Some(id) == server);
    let client = transactions.client(request, now);
    let reply = Reservation {
        context,
        target,
        client: &client,
        dhcp,
        address,
    };
    match request.kind {
        MessageType::Discover => {
            transactions.discovered(request, &client, now);
            send(reply.lease(MessageType::Offer), request, site, None)
        }
        MessageType::Request if !ours => silent("the request is for another DHCP server"),
        MessageType::Request => match wanted(request) {
            None => silent("the request names no address"),
            Some(wanted) if wanted == address => {
                let lease = Lease {
                    address,
                    seconds: reservation::lease_time(dhcp),
                    renewal: request.ciaddr == address,
                };
                send(reply.lease(MessageType::Ack), request, site, Some(lease))
            }
            Some(wanted) if is_ours(wanted, arrival, reserved, view) => {
                send(refusal(request, wanted, address), request, site, None)
            }
            Some(wanted) => Action::Silent(format!(
                "{wanted} is in no subnet of ours, so another server may have given it"
            )),
        },
        MessageType::Inform => match informing(request, arrival) {
            from if from == address => send(reply.information(from), request, site, None),
            from => Action::Silent(format!(
                "it asks from {from}, which is not its reserved address {address}"
            )),
        },
        MessageType::Decline if ours => silent("the client says that its address is in use by somebody else"),
        MessageType::Release if ours => silent("released"),
        MessageType::Decline | MessageType::Release => silent("meant for another DHCP server"),
        MessageType::Offer | MessageType::Ack | MessageType::Nak => silent("no client sends that"),
    }
}

/// The address that a REQUEST asks for: ciaddr when renewing, option 50 when selecting or after a reboot. A reply may
/// go to ciaddr, so it comes first.
fn wanted(request: &Request) -> Option<Ipv4Addr> {
    let using = Some(request.ciaddr).filter(|address| !address.is_unspecified());
    using.or_else(|| request.options.address(50))
}

/// The address that an INFORM comes from.
fn informing(request: &Request, arrival: Arrival<'_>) -> Ipv4Addr {
    if request.ciaddr.is_unspecified() {
        arrival.source
    } else {
        request.ciaddr
    }
}

fn refusal(request: &Request, wanted: Ipv4Addr, address: Ipv4Addr) -> Draft {
    let mut draft = Draft::new(MessageType::Nak, request);
    if !request.giaddr.is_unspecified() {
        // The relay must not try to reach a client by the address that it is being denied.
        draft.flags |= BROADCAST_FLAG;
    }
    let text = format!("{wanted} is not yours; {address} is");
    draft.options.push((56, text.into_bytes()));
    draft
}

/// A reservation that is answered with.
struct Reservation<'a> {
    context: Context<'a>,
    target: &'a Arc<BootTarget>,
    client: &'a Client,
    dhcp: &'a Dhcp,
    address: Ipv4Addr,
}

impl Reservation<'_> {
    /// OFFER or ACK of the address.
    fn lease(&self, kind: MessageType) -> Draft {
        let mut draft = Draft::new(kind, self.context.request);
        if kind == MessageType::Ack {
            draft.ciaddr = self.context.request.ciaddr;
        }
        draft.yiaddr = self.address;
        let seconds = reservation::lease_time(self.dhcp);
        draft.options.push((51, seconds.to_be_bytes().to_vec()));
        self.add_options(&mut draft);
        draft
    }

    /// ACK of an INFORM.
    fn information(&self, from: Ipv4Addr) -> Draft {
        let mut draft = Draft::new(MessageType::Ack, self.context.request);
        draft.ciaddr = from;
        self.add_options(&mut draft);
        draft
    }

    fn add_options(&self, draft: &mut Draft) {
        let Context {
            request, site, now, ..
        } = self.context;
        draft.siaddr = site.server_address;
        // Only whether the machine boots at all matters here; what it boots is in the script.
        let decision = decide(Lookup::Known(self.target), Asker::Machine, site, now);
        if let Some(BootData {
            next_server,
            file,
            options,
        }) = boot_data(request, self.client, self.target, &decision, site)
        {
            draft.siaddr = next_server;
            draft.file = file;
            draft.options.extend(options);
        }
        draft.options.extend(reservation::options(self.dhcp));
    }
}

fn send(draft: Draft, request: &Request, site: &SiteSettings, lease: Option<Lease>) -> Action {
    let destination = destination(&draft, request);
    let server = server_id_override(request).unwrap_or(site.server_address);
    let bytes = draft.encode(request, server);
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
