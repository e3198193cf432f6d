//! The HTTP boot service: iPXE scripts, kernel and installer, iPXE binaries, operating-system images with ranges.
//!
//! Owns the routes under `/ipxe`, `/boot` and `/images`, the archive with the site CA ([`site_ca_archive`]), the
//! plain-HTTP listener that all boot routes run on ([`run_http`]), and the way of boot events into the records
//! ([`record_events`]).
//!
//! Refuses: to serve anything secret (everything here is public by nature), any path but a file's plain name, and to
//! decide what a machine boots (that is `boot_script::decide`).
//!
//! Invariant: a connection can take only its own share of places, time and memory (crate `listeners`), and a request that
//! panics takes down only itself.

mod archive;
mod boot_files;
mod error;
mod events;
mod file_answer;
mod images;
mod listener;
mod metrics;
mod routes;
mod scripts;
mod shared;

pub use crate::metrics::describe_metrics;
pub use archive::site_ca_archive;
pub use error::Error;
pub use events::record_events;
pub use listener::{SHARES, run_http};
pub use routes::{Config, Deps, router};
