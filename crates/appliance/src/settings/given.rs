//! A value of a setting, with the place where a user gave it.

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The text.
    pub value: String,
    /// `flag --x`, `variable GANTRY_X` or `file:line`.
    pub place: String,
}
