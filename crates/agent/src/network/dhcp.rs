//! A DHCP client's messages (RFC 2131), as pure functions. Only what an installer needs: address, mask, router, lease.

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};
use resources::Mac;

/// An address that a server lends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Way out, if there is one.
    pub router: Option<Ipv4Addr>,
    /// Server that lent it.
    pub server: Ipv4Addr,
    /// For how long; `None` is for ever.
    pub time: Option<Duration>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It would lend this.
    Offer(Lease),
    /// It lends this.
    Ack(Lease),
    /// It does not: start anew.
    Nak,
}

/// Which address is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Any: DISCOVER.
    Any,
    /// The offered one: REQUEST in state SELECTING.
    Offered(&'a Lease),
    /// The one in use: REQUEST in state RENEWING.
    InUse(&'a Lease),
}

/// A client's message. Answers are asked for by broadcast while there is no address.
///
/// # Errors
/// Never with the options that are set here; the encoder's type says so.
pub fn message(
    mac: Mac,
    transaction: u32,
    seconds: u16,
    wanted: Wanted<'_>,
) -> Result<Vec<u8>, dhcproto::error::EncodeError> {
    let own = match wanted {
        Wanted::InUse(lease) => lease.address,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(transaction, own, none, none, none, &mac.octets());
    message.set_secs(seconds);
    let options = message.opts_mut();
    let mut client = vec![1];
    client.extend(mac.octets());
    options.insert(DhcpOption::ClientIdentifier(client));
    options.insert(DhcpOption::MaxMessageSize(1472));
    options.insert(DhcpOption::ParameterRequestList(vec![
        OptionCode::SubnetMask,
        OptionCode::Router,
        OptionCode::AddressLeaseTime,
        OptionCode::ServerIdentifier,
    ]));
    let kind = match wanted {
        Wanted::Any => MessageType::Discover,
        _ => MessageType::Request,
    };
    options.insert(DhcpOption::MessageType(kind));
    if let Wanted::Offered(lease) = wanted {
        options.insert(DhcpOption::RequestedIpAddress(lease.address));
        options.insert(DhcpOption::ServerIdentifier(lease.server));
    }
    if own.is_unspecified() {
        message.set_flags(Flags::default().set_broadcast());
    }
    let mut octets = Vec::new();
    message.encode(&mut Encoder::new(&mut octets))?;
    // Some relays drop what is shorter than a BOOTP message.
    octets.resize(octets.len().max(300), 0);
    Ok(octets)
}

/// Reads a server's answer to our transaction; anything else is `None`.
#[must_use]
pub fn parse(datagram: &[u8], mac: Mac, transaction: u32) -> Option<Reply> {
    let message = Message::decode(&mut Decoder::new(datagram)).ok()?;
    let ours = message.opcode() == Opcode::BootReply
        && message.xid() == transaction
        && message.hlen() == 6
        && message.chaddr() == mac.octets();
    if !ours {
        return None;
    }
    let options = message.opts();
    let DhcpOption::MessageType(kind) = options.get(OptionCode::MessageType)? else {
        return None;
    };
    if *kind == MessageType::Nak {
        return Some(Reply::Nak);
    }
    let address = Some(message.yiaddr()).filter(|address| !address.is_unspecified())?;
    let DhcpOption::ServerIdentifier(server) = options.get(OptionCode::ServerIdentifier)? else {
        return None;
    };
    let prefix = match options.get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => prefix(*mask)?,
        _ => 24,
    };
    let router = match options.get(OptionCode::Router) {
        Some(DhcpOption::Router(routers)) => {
            routers.first().copied().filter(|router| !router.is_unspecified())
        }
        _ => None,
    };
    let time = match options.get(OptionCode::AddressLeaseTime) {
        Some(DhcpOption::AddressLeaseTime(u32::MAX)) | None => None,
        Some(DhcpOption::AddressLeaseTime(seconds)) => Some(Duration::from_secs(u64::from(*seconds))),
        Some(_) => None,
    };
    let lease = Lease {
        address,
        prefix,
        router,
        server: *server,
        time,
    };
    match kind {
        MessageType::Offer => Some(Reply::Offer(lease)),
        MessageType::Ack => Some(Reply::Ack(lease)),
        _ => None,
    }
}

/// Length of a mask's prefix; `None` when its ones are not in front.
fn prefix(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let length = bits.leading_ones();
    (length == bits.count_ones()).then(|| u8::try_from(length).unwrap_or(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac::new([0x52, 0x54, 0, 1, 2, 3]);

    fn answer(kind: MessageType, mask: [u8; 4]) -> Vec<u8> {
        let none = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(7, none, [192, 0, 2, 9].into(), none, none, &MAC.octets());
        message.set_opcode(Opcode::BootReply);
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ServerIdentifier([192, 0, 2, 1].into()));
        options.insert(DhcpOption::SubnetMask(mask.into()));
        options.insert(DhcpOption::Router(vec![[192, 0, 2, 254].into()]));
        options.insert(DhcpOption::AddressLeaseTime(3600));
        let mut octets = Vec::new();
        message.encode(&mut Encoder::new(&mut octets)).unwrap();
        octets
    }

    fn lease() -> Lease {
        Lease {
            address: [192, 0, 2, 9].into(),
            prefix: 22,
            router: Some([192, 0, 2, 254].into()),
            server: [192, 0, 2, 1].into(),
            time: Some(Duration::from_secs(3600)),
        }
    }

    #[test]
    fn answers_of_our_transaction_only() {
        let offer = answer(MessageType::Offer, [255, 255, 252, 0]);
        assert_eq!(parse(&offer, MAC, 7), Some(Reply::Offer(lease())));
        assert_eq!(
            parse(&answer(MessageType::Ack, [255, 255, 252, 0]), MAC, 7),
            Some(Reply::Ack(lease()))
        );
        assert_eq!(parse(&answer(MessageType::Nak, [0; 4]), MAC, 7), Some(Reply::Nak));
        assert_eq!(parse(&offer, MAC, 8), None);
        assert_eq!(parse(&offer, Mac::new([2; 6]), 7), None);
        assert_eq!(parse(&answer(MessageType::Offer, [255, 0, 255, 0]), MAC, 7), None);
        for length in 0..offer.len() - 1 {
            // Cut off anywhere it must not panic.
            let _ = parse(&offer[..length], MAC, 7);
        }
    }

    #[test]
    fn each_state_asks_as_the_rfc_says() {
        let lease = lease();
        let decoded = |wanted| {
            let octets = message(MAC, 7, 3, wanted).unwrap();
            assert!(octets.len() >= 300);
            Message::decode(&mut Decoder::new(&octets)).unwrap()
        };
        let discover = decoded(Wanted::Any);
        assert!(discover.flags().broadcast() && discover.ciaddr().is_unspecified());
        let request = decoded(Wanted::Offered(&lease));
        assert!(request.flags().broadcast());
        assert_eq!(
            request.opts().get(OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress(lease.address))
        );
        let renew = decoded(Wanted::InUse(&lease));
        assert_eq!(renew.ciaddr(), lease.address);
        assert!(!renew.flags().broadcast());
        assert!(renew.opts().get(OptionCode::ServerIdentifier).is_none());
    }
}
