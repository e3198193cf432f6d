//! One line of a chain.

/// One line, indented by its depth in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) depth: usize,
    pub(crate) text: String,
}
