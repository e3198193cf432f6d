//! An error and its causes in one line.
//!
//! Owns: how a chain of errors is told to people and in logs. The errors of this workspace name their cause in
//! `source()` and never in their text, so the text alone would not say why. Refuses: to judge errors; what can be tried
//! again is told by their types.
//!
//! Invariant: nothing is said twice, because foreign errors often repeat their cause in their own text.

mod line;

pub use line::{appended, line};
