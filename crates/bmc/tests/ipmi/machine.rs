//! A BMC of our own on loopback, and clients of it.

use std::ops::Deref;
use std::time::Duration;

use bmc::{CipherSuite, Ipmi, IpmiConnection};
use ipmi::{Privilege, ProductInfo, wire_guid};
use resources::Secret;
use sim::ipmi_server::{Account, Identity, Profile, SimulatedBmc};

pub(crate) const USER: &str = "ops";
pub(crate) const PASSWORD: &str = "fake-bmc-password";
pub(crate) const UUID: &str = "22988ada-3f61-4c68-932c-a630b89284e0";
pub(crate) const SERIAL: &str = "GL9Y642MEHNB";

pub(crate) struct Bmc(SimulatedBmc);

impl Deref for Bmc {
    type Target = SimulatedBmc;

    fn deref(&self) -> &SimulatedBmc {
        &self.0
    }
}

impl Bmc {
    pub(crate) async fn start(profile: Profile) -> Self {
        let account = Account {
            name: USER.to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
            privilege: Privilege::Administrator,
        };
        let identity = Identity {
            guid: wire_guid(UUID).unwrap(),
            product: ProductInfo {
                manufacturer: Some("Example Corp".to_owned()),
                product: Some("R1".to_owned()),
                part_number: Some("R1-44".to_owned()),
                serial: Some(SERIAL.to_owned()),
            },
        };
        Self(SimulatedBmc::start(account, profile, identity).await.unwrap())
    }

    pub(crate) fn client(&self) -> Ipmi {
        client(self.port, PASSWORD, &CipherSuite::ALL)
    }

    /// Waits until so many sessions are open.
    pub(crate) async fn open_sessions(&self, wanted: usize) {
        let met = async {
            while self.handle.open_sessions() != wanted {
                tokio::task::yield_now().await;
            }
        };
        let limit = tokio::time::timeout(Duration::from_secs(10), met).await;
        assert!(
            limit.is_ok(),
            "{} sessions are open, not {wanted}",
            self.handle.open_sessions()
        );
    }
}

pub(crate) fn client(port: u16, password: &str, suites: &[CipherSuite]) -> Ipmi {
    Ipmi::new(IpmiConnection {
        host: "127.0.0.1".to_owned(),
        port,
        username: USER.to_owned(),
        password: Secret::new(password.to_owned()),
        suites: suites.to_vec(),
        timeout: Duration::from_secs(5),
    })
    .unwrap()
}
