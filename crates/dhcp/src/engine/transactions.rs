//! What clients said of themselves in their DISCOVER. Some firmware leaves the vendor class out of its REQUEST, and
//! drops the boot when the ACK then lacks what the OFFER had.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use resources::Mac;

use super::client::{Client, Program};
use super::packet::Request;

/// Clients that are remembered, each one transaction. Only machines that Hardware names are.
const CLIENTS: usize = 8192;
/// Longer than any client waits for an answer.
const LIFE: Duration = Duration::from_secs(120);

/// The last DISCOVER of each client.
#[derive(Debug, Default)]
pub struct Transactions {
    by_mac: HashMap<Mac, Discovered>,
}

#[derive(Debug)]
struct Discovered {
    xid: [u8; 4],
    client: Client,
    at: Timestamp,
}

impl Discovered {
    fn is_over(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        age.is_negative() || age.unsigned_abs() > LIFE
    }
}

impl Transactions {
    /// Remembers who sent a DISCOVER that is answered.
    pub(crate) fn discovered(&mut self, request: &Request, client: &Client, now: Timestamp) {
        if client.program == Program::System {
            self.by_mac.remove(&request.mac);
            return;
        }
        if self.by_mac.len() >= CLIENTS {
            self.by_mac.retain(|_, discovered| !discovered.is_over(now));
        }
        if self.by_mac.len() >= CLIENTS {
            self.by_mac.clear();
        }
        let discovered = Discovered {
            xid: request.xid,
            client: client.clone(),
            at: now,
        };
        self.by_mac.insert(request.mac, discovered);
    }

    /// The client of a request, with what it said of itself earlier in the transaction.
    pub(crate) fn client(&self, request: &Request, now: Timestamp) -> Client {
        let client = Client::of(request);
        let earlier = self.by_mac.get(&request.mac);
        match earlier.filter(|earlier| earlier.xid == request.xid && !earlier.is_over(now)) {
            Some(earlier) => client.or(&earlier.client),
            None => client,
        }
    }
}
