//! The ring that a record belongs to.

/// Which ring a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// The one of its machine and kind.
    Machine,
    /// The one of its kind that all strangers share.
    Strangers,
}
