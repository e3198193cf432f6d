//! What is wrong with the settings that a user gave.

use std::fmt;

/// A wrong setting: where, what, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault(pub(crate) Vec<String>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
