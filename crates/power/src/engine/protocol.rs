//! Which protocols may be spoken with a BMC, and in which order.
//!
//! IPMI gives whoever asks a code by which passwords can be guessed offline, so it is spoken only where a Machine names it.

use bmc::CipherSuite;
use resources::bmc::{BmcProtocol, Connection, ProviderOptions};

/// The protocols that a Machine allows, in order, or what is wrong with its settings.
pub(crate) fn allowed(connection: &Connection) -> Result<Vec<BmcProtocol>, String> {
    let none = ProviderOptions::default();
    let options = connection.provider_options.as_ref().unwrap_or(&none);
    if options.preferred_order.is_empty() {
        let ipmi = options.ipmitool.as_ref().map(|_| BmcProtocol::Ipmi);
        return Ok([BmcProtocol::Redfish].into_iter().chain(ipmi).collect());
    }
    let mut found = Vec::new();
    for name in &options.preferred_order {
        let protocol = match name.as_str() {
            "gofish" | "redfish" => BmcProtocol::Redfish,
            "ipmitool" | "ipmi" => BmcProtocol::Ipmi,
            // Makers' ways to speak Redfish, and what is not had here.
            _ => continue,
        };
        if !found.contains(&protocol) {
            found.push(protocol);
        }
    }
    if found.is_empty() {
        return Err(format!(
            "providerOptions.preferredOrder names {}; what can be spoken is gofish (Redfish) and ipmitool (IPMI 2.0)",
            options.preferred_order.join(", ")
        ));
    }
    Ok(found)
}

/// The cipher suites of IPMI to try, in order.
pub(crate) fn cipher_suites(wanted: Option<&str>) -> Result<Vec<CipherSuite>, String> {
    let Some(wanted) = wanted.filter(|text| !text.is_empty()) else {
        return Ok(CipherSuite::ALL.to_vec());
    };
    let suite = wanted.parse().ok().and_then(CipherSuite::of);
    suite.map(|suite| vec![suite]).ok_or_else(|| {
        format!(
            "providerOptions.ipmitool.cipherSuite '{wanted}' is refused: use 17 or 3, or leave it out; others do not protect \
             a session"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use BmcProtocol::{Ipmi, Redfish};

    #[test]
    fn order_by_the_settings() {
        for (options, expected) in [
            ("{}", Some(vec![Redfish])),
            (r#"{"redfish":{"port":8443}}"#, Some(vec![Redfish])),
            (r#"{"ipmitool":{}}"#, Some(vec![Redfish, Ipmi])),
            (
                r#"{"preferredOrder":["gofish"],"ipmitool":{}}"#,
                Some(vec![Redfish]),
            ),
            (r#"{"preferredOrder":["ipmitool"]}"#, Some(vec![Ipmi])),
            (
                r#"{"preferredOrder":["ipmi","redfish","ipmitool"]}"#,
                Some(vec![Ipmi, Redfish]),
            ),
            (r#"{"preferredOrder":["dell","gofish"]}"#, Some(vec![Redfish])),
            (r#"{"preferredOrder":["intelamt"]}"#, None),
        ] {
            let connection = Connection {
                provider_options: Some(serde_json::from_str(options).unwrap()),
                ..Connection::default()
            };
            assert_eq!(allowed(&connection).ok(), expected, "{options}");
        }
        assert_eq!(allowed(&Connection::default()), Ok(vec![Redfish]));
    }

    #[test]
    fn weak_suites_are_refused() {
        assert_eq!(cipher_suites(None), Ok(CipherSuite::ALL.to_vec()));
        assert_eq!(cipher_suites(Some("3")), Ok(vec![CipherSuite::Three]));
        assert_eq!(cipher_suites(Some("17")), Ok(vec![CipherSuite::Seventeen]));
        for weak in ["0", "1", "2", "6", "12", "x"] {
            assert!(cipher_suites(Some(weak)).unwrap_err().contains(weak));
        }
    }
}
