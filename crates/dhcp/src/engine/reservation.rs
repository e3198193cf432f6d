//! Options of a reservation: what Hardware says of an interface's network.

use std::net::Ipv4Addr;

use resources::tinkerbell::Dhcp;

/// Seconds of a lease when Hardware names none: the evident intent of Tinkerbell's default.
const WEEK: u32 = 7 * 24 * 60 * 60;

/// Seconds of the lease.
pub(crate) fn lease_time(dhcp: &Dhcp) -> u32 {
    match dhcp.lease_time {
        Some(seconds) if seconds > 0 => u32::try_from(seconds).unwrap_or(u32::MAX - 1),
        _ => WEEK,
    }
}

/// Options of the reservation, the important first.
pub(crate) fn options(dhcp: &Dhcp) -> Vec<(u8, Vec<u8>)> {
    let mut list = Vec::new();
    let ip = dhcp.ip.as_ref();
    let address = |text: Option<&String>| text.and_then(|text| text.trim().parse::<Ipv4Addr>().ok());
    let own = address(ip.and_then(|ip| ip.address.as_ref()));
    let mask = address(ip.and_then(|ip| ip.netmask.as_ref())).filter(|mask| contiguous(*mask));
    let gateway = address(ip.and_then(|ip| ip.gateway.as_ref()));
    let mut put = |code: u8, value: Vec<u8>| {
        if !value.is_empty() {
            list.push((code, value));
        }
    };
    put(1, octets(mask));
    put(3, octets(gateway));
    put(6, addresses(&dhcp.name_servers));
    put(12, text(dhcp.hostname.as_deref()));
    put(15, text(dhcp.domain_name.as_deref()));
    put(121, routes(dhcp, gateway));
    put(42, addresses(&dhcp.time_servers));
    put(
        28,
        octets(
            own.zip(mask)
                .map(|(own, mask)| Ipv4Addr::from(u32::from(own) | !u32::from(mask))),
        ),
    );
    put(
        119,
        dhcp.domain_name.as_deref().and_then(domain).unwrap_or_default(),
    );
    list
}

fn contiguous(mask: Ipv4Addr) -> bool {
    let mask = u32::from(mask);
    mask.leading_ones() == mask.count_ones()
}

fn octets(address: Option<Ipv4Addr>) -> Vec<u8> {
    address
        .map(|address| address.octets().to_vec())
        .unwrap_or_default()
}

/// The IPv4 literals of a list; names and IPv6 have no place in these options.
fn addresses(list: &[String]) -> Vec<u8> {
    list.iter()
        .filter_map(|text| text.trim().parse::<Ipv4Addr>().ok())
        .flat_map(|a| a.octets())
        .take(252)
        .collect()
}

fn text(text: Option<&str>) -> Vec<u8> {
    text.map(|text| text.bytes().filter(u8::is_ascii_graphic).take(255).collect())
        .unwrap_or_default()
}

/// RFC 3442. A client that knows this option ignores option 3, so the gateway is added unless the list has a default.
fn routes(dhcp: &Dhcp, gateway: Option<Ipv4Addr>) -> Vec<u8> {
    let mut list: Vec<(Ipv4Addr, u8, Ipv4Addr)> = Vec::new();
    for route in &dhcp.classless_static_routes {
        let Some((network, length)) = route.destination_descriptor.split_once('/') else {
            continue;
        };
        let (Ok(network), Ok(length), Ok(router)) = (
            network.trim().parse(),
            length.trim().parse::<u8>(),
            route.router.trim().parse(),
        ) else {
            continue;
        };
        if length <= 32 {
            list.push((network, length, router));
        }
    }
    if list.is_empty() {
        return Vec::new();
    }
    if let Some(gateway) = gateway.filter(|_| list.iter().all(|(_, length, _)| *length != 0)) {
        list.push((Ipv4Addr::UNSPECIFIED, 0, gateway));
    }
    let mut value = Vec::new();
    for (network, length, router) in list {
        value.push(length);
        value.extend(network.octets().into_iter().take(usize::from(length.div_ceil(8))));
        value.extend(router.octets());
    }
    value
}

/// One domain in DNS form (RFC 3397, without compression).
fn domain(name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        value.push(length);
        value.extend(label.as_bytes());
    }
    value.push(0);
    (value.len() <= 255).then_some(value)
}

#[cfg(test)]
mod tests {
    use resources::tinkerbell::Route;

    use super::*;

    #[test]
    fn lease_times() {
        for (given, expected) in [
            (None, WEEK),
            (Some(0), WEEK),
            (Some(-1), WEEK),
            (Some(60), 60),
            (Some(1 << 40), u32::MAX - 1),
        ] {
            assert_eq!(
                lease_time(&Dhcp {
                    lease_time: given,
                    ..Dhcp::default()
                }),
                expected,
                "{given:?}"
            );
        }
        // EKS Anywhere's "for ever".
        assert_eq!(
            lease_time(&Dhcp {
                lease_time: Some(4_294_967_294),
                ..Dhcp::default()
            }),
            u32::MAX - 1
        );
    }

    #[test]
    fn routes_keep_the_default() {
        let route = |to: &str, via: &str| Route {
            destination_descriptor: to.into(),
            router: via.into(),
        };
        let dhcp = Dhcp {
            classless_static_routes: vec![
                route("10.1.0.0/16", "10.0.0.2"),
                route("x", "y"),
                route("1.0.0.0/40", "1.1.1.1"),
            ],
            ..Dhcp::default()
        };
        let gateway = Some(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(routes(&dhcp, gateway), [16, 10, 1, 10, 0, 0, 2, 0, 10, 0, 0, 1]);
        assert_eq!(routes(&Dhcp::default(), gateway), Vec::<u8>::new());
        assert_eq!(domain("lab.example."), Some(b"\x03lab\x07example\0".to_vec()));
        assert_eq!(domain("a..b"), None);
    }
}
