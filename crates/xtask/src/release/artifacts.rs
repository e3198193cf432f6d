//! What all steps of a release know.

use std::path::PathBuf;

use crate::workspace::Workspace;

/// A release under way.
pub(super) struct Release {
    pub(super) workspace: Workspace,
    pub(super) version: String,
    /// Seconds since 1970, of the commit.
    pub(super) time: String,
    /// The folder for the files.
    pub(super) out: PathBuf,
    /// The program.
    pub(super) gantry: PathBuf,
    /// Option of `dpkg-deb`.
    pub(super) compression: &'static str,
}

impl Release {
    /// File name of an artifact.
    pub(super) fn artifact(&self, end: &str) -> PathBuf {
        self.out.join(format!("gantry-{}{end}", self.version))
    }
}
