//! What a driver in Rust is made of. A driver implements [`Provider`], which is its provider's API and nothing else, and its
//! `main` is [`run`]. The rest of the contract is here: the process, capabilities, fencing, limits, schemas, deadlines,
//! panics, draining, complete lists.

mod admission;
mod bucket;
mod events;
mod fences;
mod last_error;
mod machines;
mod plugin;
mod process;
mod provider;
mod redaction;
mod retry;
mod schemas;
mod trust;

pub use bucket::TokenBucket;
pub use events::Events;
pub use process::{Context, run};
pub use provider::{Pages, Provider, Schemas};
pub use redaction::Redaction;
pub use retry::{Attempt, Backoff, retry};
pub use trust::{Thumbprint, Trust, TrustError};
