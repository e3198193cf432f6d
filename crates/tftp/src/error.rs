//! What can go wrong while the service is set up.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Error of the TFTP service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken or not permitted.
    #[error(
        "cannot listen for TFTP on {address}; port 69 needs CAP_NET_BIND_SERVICE and no other TFTP server there"
    )]
    Bind {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A boot file is missing or cannot be read.
    #[error("cannot read boot file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
