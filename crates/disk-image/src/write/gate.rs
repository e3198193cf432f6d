//! What a write asks before it goes on, and tells how far it is.

/// Asked before each block: may the disk still be written?
pub trait Gate: Sync {
    /// Returns when the write may go on.
    ///
    /// # Errors
    /// The reason why it may not, ever.
    fn admit(&self) -> Result<(), String>;

    /// Bytes of the raw disk that are done, and all of them when that is known.
    fn progress(&self, phase: &'static str, done: u64, total: Option<u64>);
}

/// A gate that is always open.
#[derive(Debug, Clone, Copy)]
pub struct Ungated;

impl Gate for Ungated {
    fn admit(&self) -> Result<(), String> {
        Ok(())
    }

    fn progress(&self, _: &'static str, _: u64, _: Option<u64>) {}
}
