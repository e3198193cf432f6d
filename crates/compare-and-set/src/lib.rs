//! Changing an object of the API by compare-and-set: the change holds only if the object still is as it was read.
//!
//! Owns: the form of such a write (a JSON patch, RFC 6902, whose first operation tests `metadata.resourceVersion`),
//! what its answers mean, and the smallest change that makes one status out of another. A [`Writer`] belongs to one
//! field manager.
//!
//! Refuses: to retry. Who lost reads again and decides again, because the reason for the change may be gone.
//!
//! Invariant: nothing is written over a change that the writer has not seen.

mod change;
mod error;
mod writer;

pub use change::Change;
pub use error::Error;
pub use writer::{Outcome, Writer};
