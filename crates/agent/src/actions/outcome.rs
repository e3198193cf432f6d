//! What an action achieved.

use std::collections::BTreeMap;

/// What an action achieved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For people.
    pub message: String,
    /// For the machine's record.
    pub facts: BTreeMap<String, String>,
    /// `Some`: leave the installer once this is reported; true is kexec.
    pub leave: Option<bool>,
}

impl Outcome {
    pub(super) fn done(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(super) fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}
