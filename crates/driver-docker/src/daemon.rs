//! The Docker daemon: its requests, each with the statuses that it answers with.

mod connection;
mod containers;
mod images;
mod model;
mod networks;
mod transport;
mod versions;

pub(crate) use connection::Daemon;
pub(crate) use containers::{Made, Reached};
pub(crate) use images::Progress;
pub(crate) use model::{Container, Info, Network, State};
pub(crate) use transport::Outgoing;
pub(crate) use versions::{ApiVersion, Versions};
