//! What a story is asked for.

/// What a story was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Seed of everything that is drawn.
    pub(crate) seed: Option<String>,
}
