//! Bundles of parts: what a release ships beside the program, so that an appliance needs no source tree and no tools.
//!
//! A bundle is a folder, or the same below a URL. Owns its index `index.json` ([`Index`]: path, size and SHA-256 of each
//! file), the check of the index's signature ([`Key`], minisign), and the import into a parts folder ([`import()`]).
//! Refuses: files that the index does not name, paths outside of the folder, and an index that nobody signed, unless the
//! caller says that this is meant.
//!
//! Invariant: a file in the parts folder that has its final name is complete and has the index's digest. What came of a file
//! before an import was interrupted stays in `partial/`, and the next import continues there.
#![forbid(unsafe_code)]

mod error;
mod import;
mod index;
mod key;
mod source;

pub use error::Error;
pub use import::{Import, Imported, import};
pub use index::{Entry, INDEX_FILE, Index, SIGNATURE_FILE};
pub use key::Key;
pub use source::Source;
