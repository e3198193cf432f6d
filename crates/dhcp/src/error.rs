//! What can go wrong while a listener is set up. A running listener logs and goes on.

/// Error of the DHCP service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interface has no such name.
    #[error("interface {name:?} does not exist; set `interface` to one that `ip link` lists")]
    Interface {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The socket could not be made.
    #[error(
        "cannot {step} for DHCP on interface {interface:?}; port 67 needs CAP_NET_BIND_SERVICE and no other DHCP server there"
    )]
    Socket {
        /// What was tried.
        step: &'static str,
        /// Interface.
        interface: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The raw socket could not be made.
    #[error(
        "cannot {step} for router advertisements on interface {interface:?}; it needs CAP_NET_RAW and IPv6"
    )]
    Advertiser {
        /// What was tried.
        step: &'static str,
        /// Interface.
        interface: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
