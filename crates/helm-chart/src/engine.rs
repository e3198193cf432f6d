//! Go's `text/template` over values that change in place: parsing a set of templates and executing one of them.
//!
//! The syntax trees are `gotmpl`'s. Executing is done here, because its values cannot be changed (`set`), have no methods
//! (`.Files.Get`), and its errors have no line.

mod blocks;
mod comparison;
mod evaluation;
mod execution;
mod fault;
mod templates;

pub(crate) use comparison::{equal, less};
pub(crate) use execution::Execution;
pub(crate) use fault::Fault;
pub(crate) use templates::Templates;
