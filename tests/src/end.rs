//! How a story ends.

/// How a story ended without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It showed what it should.
    Passed,
    /// It could not run: what is missing.
    Skipped(String),
}
