//! How to reach one BMC: origin, login, trust and time limit.

use std::time::Duration;

use resources::Secret;

use crate::Error;

/// Everything needed to open a client. The password shows in no Debug output.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Address or DNS name, without scheme and port.
    pub host: String,
    pub port: u16,
    pub username: String,
    pub password: Secret<String>,
    pub login: Login,
    pub trust: Trust,
    /// Limit of each single request, connecting included.
    pub timeout: Duration,
    /// Which `Systems` member to use where a BMC has several.
    pub system: Option<String>,
}

/// How requests are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// HTTP basic authentication in each request; leaves no session behind on the BMC.
    #[default]
    Basic,
    /// A Redfish session, opened at the first request and closed by [`crate::Bmc::close`].
    Session,
}

/// Which certificate is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Exactly the certificate with this SHA-256 digest of its DER form.
    Fingerprint([u8; 32]),
    /// Any certificate: what `insecureTLS` on a BMC Machine asks for.
    Insecure,
}

impl Connection {
    /// A connection by basic authentication on port 443 that accepts any certificate.
    #[must_use]
    pub fn insecure(host: &str, username: &str, password: Secret<String>) -> Self {
        Self {
            host: host.to_owned(),
            port: 443,
            username: username.to_owned(),
            password,
            login: Login::Basic,
            trust: Trust::Insecure,
            timeout: Duration::from_secs(20),
            system: None,
        }
    }

    /// `https://host:port`, the one origin that this client talks to.
    pub(crate) fn origin(&self) -> Result<String, Error> {
        check_host(&self.host)?;
        let bare_v6 = self.host.contains(':') && !self.host.starts_with('[');
        let port = self.port;
        Ok(if bare_v6 {
            format!("https://[{}]:{port}", self.host)
        } else {
            format!("https://{}:{port}", self.host)
        })
    }
}

/// Refuses what is no host name or address.
pub(crate) fn check_host(host: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(fits) {
        return Err(Error::Host {
            host: host.to_owned(),
        });
    }
    Ok(())
}

impl Trust {
    /// Reads `AB:CD:...` or plain hexadecimal of a SHA-256 digest.
    pub fn parse_fingerprint(text: &str) -> Result<Self, Error> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let mut digest = [0u8; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| Error::Fingerprint {
            text: text.to_owned(),
        })?;
        Ok(Self::Fingerprint(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str) -> Result<String, Error> {
        Connection::insecure(host, "u", Secret::new("not-a-real-password".to_owned())).origin()
    }

    #[test]
    fn origins() {
        assert_eq!(to("10.0.0.9").unwrap(), "https://10.0.0.9:443");
        assert_eq!(to("bmc-1.example.org").unwrap(), "https://bmc-1.example.org:443");
        assert_eq!(to("fd00::9").unwrap(), "https://[fd00::9]:443");
        for bad in ["", "a/b", "user@host", "a b", "host?x"] {
            assert!(to(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fingerprints() {
        let plain = "00".repeat(31) + "ff";
        let colons = format!("{}FF", "00:".repeat(31));
        assert_eq!(
            Trust::parse_fingerprint(&plain).unwrap(),
            Trust::parse_fingerprint(&colons).unwrap()
        );
        assert!(Trust::parse_fingerprint("00ff").is_err());
    }
}
