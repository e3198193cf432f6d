//! Which objects name another one, as a controller last saw it, so that a change of the other wakes those and nobody
//! else: a search through all objects for each change would be quadratic.

#![forbid(unsafe_code)]

mod back_references;

pub use back_references::BackReferences;
