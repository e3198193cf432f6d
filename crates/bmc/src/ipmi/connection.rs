//! How to reach one BMC by IPMI.

use std::time::Duration;

use ::ipmi::CipherSuite;
use resources::Secret;

use crate::Error;

/// Longest password of IPMI 2.0, in bytes.
const PASSWORD: usize = 20;
/// Longest user name of IPMI, in bytes.
const NAME: usize = 16;

/// Everything needed to open a client. The password shows in no Debug output.
#[derive(Debug, Clone)]
pub struct IpmiConnection {
    /// Address or DNS name.
    pub host: String,
    /// UDP port; IPMI's own is 623.
    pub port: u16,
    pub username: String,
    pub password: Secret<String>,
    /// Cipher suites to try, in order.
    pub suites: Vec<CipherSuite>,
    /// Limit of each single exchange, repetitions included.
    pub timeout: Duration,
}

impl IpmiConnection {
    /// The port that IANA has given to RMCP.
    pub const PORT: u16 = 623;

    pub(super) fn check(&self) -> Result<(), Error> {
        crate::connection::check_host(&self.host)?;
        let too_long = |what, limit| Error::TooLongForIpmi {
            host: self.host.clone(),
            what,
            limit,
        };
        if self.username.len() > NAME {
            return Err(too_long("user name", NAME));
        }
        if self.password.reveal().len() > PASSWORD {
            return Err(too_long("password", PASSWORD));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ipmi_has_no_room_for() {
        let made = |host: &str, username: usize, password: usize| {
            IpmiConnection {
                host: host.to_owned(),
                port: IpmiConnection::PORT,
                username: "u".repeat(username),
                password: Secret::new("p".repeat(password)),
                suites: CipherSuite::ALL.to_vec(),
                timeout: Duration::from_secs(1),
            }
            .check()
        };
        assert!(made("192.0.2.1", NAME, PASSWORD).is_ok());
        for (host, username, password, part) in [
            ("192.0.2.1", NAME + 1, 1, "user name"),
            ("192.0.2.1", 1, PASSWORD + 1, "password"),
            ("192.0.2.1/x", 1, 1, "host name"),
        ] {
            let error = made(host, username, password).unwrap_err();
            assert!(error.to_string().contains(part) && !error.retryable(), "{error}");
        }
    }
}
