//! YAML as Go's client of Kubernetes reads and writes it: version 1.1 of the language, dicts with sorted keys.
//!
//! Charts put digests of rendered text into annotations, so the text is Go's to the byte, with the folding of lines of more
//! than 80 columns.

mod key_order;
mod reader;
mod scalars;
mod writer;

pub(crate) use reader::{documents, read};
pub(crate) use writer::write;
