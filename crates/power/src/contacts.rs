//! What is known of each BMC while this process runs, and whose turn it is to speak with it.
//!
//! Invariant: at most one controller at a time speaks with a BMC. A restart forgets everything here without harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use resources::bmc::{BmcProtocol, Connection};
use tokio::sync::OwnedMutexGuard;

use crate::engine::breaker::Breaker;

/// One BMC.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    pub(crate) breaker: Breaker,
    /// The protocol that answered last, of several that may be, and why it was taken.
    pub(crate) chosen: Option<(BmcProtocol, String)>,
    /// Why the BMC did not answer last.
    pub(crate) silence: Option<String>,
}

/// The turn to speak with a BMC; dropping it ends the turn.
pub(crate) type Turn = OwnedMutexGuard<Contact>;

/// All BMCs that were spoken to, by host and ports.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    all: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Contact>>>>,
}

impl Contacts {
    /// Waits for the turn.
    pub(crate) async fn turn(&self, connection: &Connection) -> Turn {
        self.of(connection).lock_owned().await
    }

    /// The turn, if nobody has it.
    pub(crate) fn turn_now(&self, connection: &Connection) -> Option<Turn> {
        self.of(connection).try_lock_owned().ok()
    }

    fn of(&self, connection: &Connection) -> Arc<tokio::sync::Mutex<Contact>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key(connection)).or_default())
    }
}

/// Which BMC a connection leads to. Several may be behind one address.
fn key(connection: &Connection) -> String {
    let [redfish, ipmi] = ports(connection);
    format!("{} {:?} {redfish:?} {ipmi:?}", connection.host, connection.port)
}

fn ports(connection: &Connection) -> [Option<u16>; 2] {
    let options = connection.provider_options.as_ref();
    let redfish = options.and_then(|options| options.redfish.as_ref()?.port);
    let ipmi = options.and_then(|options| options.ipmitool.as_ref()?.port);
    [redfish, ipmi]
}

/// Whether two connections lead to the same machine; a BMC may have several systems.
pub(crate) fn is_same_machine(a: &Connection, b: &Connection) -> bool {
    let system = |connection: &Connection| {
        let options = connection.provider_options.as_ref()?;
        options.redfish.as_ref()?.system_name.clone()
    };
    key(a) == key(b) && system(a) == system(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bmcs_behind_one_address_differ_in_their_ports() {
        let of = |options: serde_json::Value| -> Connection {
            serde_json::from_value(json!({"host": "192.0.2.200", "providerOptions": options})).unwrap()
        };
        let one = of(json!({"redfish": {"port": 6230}}));
        assert!(is_same_machine(
            &one,
            &of(json!({"redfish": {"port": 6230}, "preferredOrder": ["gofish"]}))
        ));
        for other in [
            json!({}),
            json!({"redfish": {"port": 6231}}),
            json!({"ipmitool": {"port": 6230}}),
            json!({"redfish": {"port": 6230, "systemName": "2"}}),
        ] {
            assert!(!is_same_machine(&one, &of(other.clone())), "{other}");
        }
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let contacts = Contacts::default();
        let connection = Connection::default();
        let turn = contacts.turn(&connection).await;
        assert!(contacts.turn_now(&connection).is_none());
        drop(turn);
        assert!(contacts.turn_now(&connection).is_some());
    }
}
