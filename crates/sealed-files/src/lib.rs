//! Big files that hold secrets, such as snapshots of an etcd.
//!
//! Owns a directory ([`SealedFiles`], 0700) with folders by name, such as `<namespace>/<cluster>`, and in them files
//! (0600) that are named after the SHA-256 of what they hold. A file is written once as a stream ([`Writer`]), appears
//! complete or not at all, and is read as a stream ([`Reader`]); no part of it is ever on the disk in the clear, and no
//! more than one chunk of it in memory. Refuses: to keep anything about a file beside itself, and to decide how long one
//! is kept.
//!
//! Invariant: what a reader gives is what was written under this name, from the first byte to the last. A chunk is sealed
//! for its folder, its file, its place in it and whether it is the last one, so chunks that are changed, exchanged, left
//! out or of another file do not open.
#![forbid(unsafe_code)]

mod directory;
mod error;
mod format;
mod name;
mod reader;
mod sealer;
mod stored;
mod writer;

pub use directory::SealedFiles;
pub use error::{Damage, Error};
pub use reader::Reader;
pub use sealer::{SealError, Sealer};
pub use stored::Stored;
pub use writer::Writer;
