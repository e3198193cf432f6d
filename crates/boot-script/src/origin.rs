//! Whose an event is.

/// Whose event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A machine that Hardware names.
    Machine,
    /// Anybody else; the key is what the peer says of itself.
    Stranger,
}
