//! A broken rule: which field of which object, what is wrong and what to do.

use std::fmt;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// Path of the field, such as `spec.clusterNetwork.pods.cidrBlocks[0]`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub next_step: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}: {}; {}",
            self.kind, self.name, self.path, self.message, self.next_step
        )
    }
}

/// Collects violations of one object.
#[derive(Debug)]
pub(crate) struct Report {
    kind: &'static str,
    name: String,
    pub(crate) found: Vec<Violation>,
}

impl Report {
    pub(crate) fn new(kind: &'static str, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            found: Vec::new(),
        }
    }

    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn add(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        self.found.push(Violation {
            kind: self.kind,
            name: self.name.clone(),
            path: path.into(),
            message: message.into(),
            next_step: next_step.into(),
        });
    }
}
