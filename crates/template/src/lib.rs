//! Tinkerbell templates: Go `text/template` text in, a checked workflow document out.
//!
//! Owns: rendering ([`render`]) with `missingkey=error`, the part of Sprig v3 whose results are repeatable and the
//! four functions that Tinkerbell adds ([`functions()`] lists them with an example each), the data that templates see
//! ([`data`]: both spellings of Hardware), the document itself ([`Document`], Tinkerbell reference §5.1) and the
//! check that a Workflow can carry it out ([`check()`]).
//!
//! Refuses: everything that gives another result tomorrow (clock, random numbers, environment, files, network),
//! functions that change their argument in place (`set`, `unset`), output beyond 1 MiB, and a document with unknown
//! or empty fields: the error names template, line and field.
//!
//! Invariant: the same template and data give the same document, and nothing here does I/O.

mod check;
mod data;
mod document;
mod error;
mod functions;
mod render;

pub use check::check;
pub use data::data;
pub use document::{Action, Document, Namespaces, Task, parse};
pub use error::Error;
pub use functions::functions;
pub use gotmpl::Value;
pub use render::render;
pub use sprig::Function;
