//! Places at a listener, and how long a connection may keep one.
//!
//! Owns: the table of open connections with a share for strangers and one for known peers ([`Gate`], [`Shares`]), the
//! time limits of a connection ([`Limits`]), listening ([`bind`]), the accept loops that apply both ([`run_http`] for plain
//! HTTP/1.1 and [`run_tls`] for HTTP/1.1 or HTTP/2 as TLS negotiated it), and the sending of files without a copy
//! ([`ServedFile`]) in turns, so that what is small does not wait for what is large.
//!
//! Refuses: to decide who is known (its user says so by address, or vouches for a connection after a login), and to know
//! what is served.
//!
//! Invariant: strangers never hold more than their share of the places, one address never more than its own, and no
//! connection keeps a place without either a request that is being answered or progress within its limits.

mod address;
mod body;
mod connection;
mod file_write;
mod gate;
mod limits;
mod listener;
mod metrics;
mod notices;
mod pace;
mod sending;
mod served_file;
mod stream;
mod table;
mod turns;
mod writer;

pub use crate::metrics::describe_metrics;
pub use body::{RequestBody, ResponseBody};
pub use connection::Serve;
pub use gate::{Gate, Place, Voucher};
pub use limits::Limits;
pub use listener::{Peer, bind, run_http, run_tls};
pub use notices::Notice;
pub use served_file::ServedFile;
pub use table::{Class, Reason, Shares};
