//! Neighbour entries for clients that do not answer ARP yet (RFC 2131 section 4.1 wants unicast to them).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use resources::Mac;
use rtnetlink::packet_route::neighbour::NeighbourState;
use tokio::task::JoinSet;

const WAIT: Duration = Duration::from_millis(250);

/// A connection to the kernel's neighbour table; without one (no CAP_NET_ADMIN) replies are broadcast.
#[derive(Debug)]
pub(crate) struct Neighbours {
    index: u32,
    handle: Option<rtnetlink::Handle>,
    // Ends with this value.
    _connection: JoinSet<()>,
}

impl Neighbours {
    pub(crate) fn connect(index: u32) -> Self {
        let mut tasks = JoinSet::new();
        let handle = match rtnetlink::new_connection() {
            Ok((connection, handle, _)) => {
                tasks.spawn(connection);
                Some(handle)
            }
            Err(error) => {
                tracing::warn!(%error, "no neighbour entries can be set; DHCP replies are broadcast");
                None
            }
        };
        Self {
            index,
            handle,
            _connection: tasks,
        }
    }

    /// Sets `address` at `mac`; false if that is not possible.
    pub(crate) async fn set(&mut self, address: Ipv4Addr, mac: Mac) -> bool {
        let Some(handle) = &self.handle else { return false };
        let request = handle
            .neighbours()
            .add(self.index, IpAddr::V4(address))
            .link_layer_address(&mac.octets())
            .state(NeighbourState::Reachable)
            .replace();
        match tokio::time::timeout(WAIT, request.execute()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "no neighbour entries can be set; DHCP replies are broadcast");
                self.handle = None;
                false
            }
            Err(_) => false,
        }
    }
}
