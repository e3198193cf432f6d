//! What comes of a command.

use ipmi::Completion;

/// Data of an answer, or the code that says why there is none.
pub(crate) type Answer = Result<Vec<u8>, Completion>;
