//! What can go wrong.

/// A script cannot be rendered from these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A value would not be one word of a script line.
    #[error(
        "{field} holds {value:?}, which cannot stand in an iPXE script: {why}; change it in the Hardware"
    )]
    Value {
        /// Where the value comes from.
        field: &'static str,
        /// The value, shortened.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The kernel would not take so long a command line.
    #[error(
        "the kernel command line has {length} bytes and {count} arguments; the limit is {max_length} and {max_count}; shorten netboot.osie.kernelParams"
    )]
    TooLong {
        /// Bytes.
        length: usize,
        /// Arguments.
        count: usize,
        /// Most bytes.
        max_length: usize,
        /// Most arguments.
        max_count: usize,
    },
}

/// The view can no longer be kept.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// A watch ended although nobody asked for it.
    #[error("the watch of {kind} ended")]
    Ended {
        /// Kind of the objects.
        kind: &'static str,
    },
}
