//! What a story is asked for.

/// What a story was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Seed of everything that is drawn.
    pub(crate) seed: Option<String>,
    /// The BMCs of the rack speak IPMI and no Redfish.
    pub(crate) ipmi_only: bool,
}

impl Options {
    /// The seed, or one of this process.
    pub(crate) fn seed_or(self, prefix: &str) -> String {
        self.seed
            .unwrap_or_else(|| format!("{prefix}{:08x}", std::process::id()))
    }
}
