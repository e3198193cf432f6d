//! String formats that the Kubernetes API checks; unknown formats are accepted.

/// True when `text` has the named format or the format is not checked.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "ip" => text.parse::<std::net::IpAddr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => uuid::Uuid::try_parse(text).is_ok(),
        "uri" => url::Url::parse(text).is_ok(),
        "byte" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.decode(text).is_ok()
        }
        _ => true,
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let Ok(bits) = bits.parse::<u8>() else {
        return false;
    };
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => bits <= 32,
        Ok(std::net::IpAddr::V6(_)) => bits <= 128,
        Err(_) => false,
    }
}

fn is_mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|p| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn format_table() {
        for (format, good, bad) in [
            ("date-time", "2026-11-20T00:00:00Z", "yesterday"),
            ("date", "2026-11-20", "2026-13-01"),
            ("ipv4", "10.0.0.1", "10.0.0"),
            ("ipv6", "fe80::1", "10.0.0.1"),
            ("ip", "fe80::1", "x"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "52:54:00:00:00:01", "52:54:00:00:01"),
            ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7"),
            ("uri", "http://a/b", "no scheme"),
            ("byte", "aGk=", "***"),
        ] {
            assert!(holds(format, good) && !holds(format, bad), "{format}");
        }
        assert!(holds("anything-else", "x"));
    }
}
