//! `proxyConfiguration`: both proxies with their ports, and hosts that need none.

use url::Url;

use crate::bundle::ClusterBundle;
use crate::violation::Report;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let Some(proxy) = &bundle.cluster.spec.proxy_configuration else {
        return;
    };
    let path = "spec.proxyConfiguration";
    for (name, value) in [
        ("httpProxy", &proxy.http_proxy),
        ("httpsProxy", &proxy.https_proxy),
    ] {
        if value.is_empty() {
            report.add(
                format!("{path}.{name}"),
                format!("{name} is missing"),
                "write httpProxy and httpsProxy; they may be the same",
            );
        } else if !is_proxy(value) {
            report.add(
                format!("{path}.{name}"),
                format!("{value:?} is not the address of a proxy"),
                "write it as HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            );
        }
    }
    for (at, entry) in proxy.no_proxy.iter().enumerate() {
        if entry.is_empty() || !is_plain(entry) || entry.contains(',') || entry.contains("://") {
            report.add(
                format!("{path}.noProxy[{at}]"),
                format!("{entry:?} is neither a host, a domain nor a CIDR"),
                "write one of them, such as .example.com or 192.0.2.0/24",
            );
        }
    }
}

/// Whether a value can stand in a line of a systemd unit.
fn is_plain(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte))
}

/// EKS Anywhere wants the port even where the scheme has one.
fn is_proxy(value: &str) -> bool {
    let rest = match value.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some(_) => return false,
        None => value,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    let known = Url::parse(&format!("http://{rest}")).is_ok_and(|url| url.has_host());
    is_plain(value) && known && port.is_some_and(|port| port.is_ok_and(|port| port != 0))
}
