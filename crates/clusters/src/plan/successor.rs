//! Machines that are to join, and which of them do so before a healthy member of the control plane goes.

use super::seen::{Member, Stage};

/// A machine that is to join.
#[derive(Debug)]
pub(crate) struct Successor {
    /// Its name; `None` when it is to be made.
    pub(crate) name: Option<String>,
    /// How many failed machines it follows.
    pub(crate) replacement: u32,
    /// Whether its system is installed.
    pub(crate) installed: bool,
    /// Whether a host was found for it, or there is one.
    pub(crate) has_host: bool,
}

impl Successor {
    /// A machine that is there.
    pub(crate) fn made(member: &Member, has_host: bool) -> Self {
        Self {
            name: Some(member.name.clone()),
            replacement: member.replacement,
            installed: member.stage != Stage::Installing,
            has_host,
        }
    }

    /// A machine that is to be made.
    pub(crate) const fn new(replacement: u32, has_host: bool) -> Self {
        Self {
            name: None,
            replacement,
            installed: false,
            has_host,
        }
    }
}

/// Those that join before a healthy member goes: all that have a host; else one where a host is `free`; else all when the
/// number of free hosts is not known, and they would be wanted beside the member that goes (`fits`). The others may have
/// to wait for its host.
pub(crate) fn before_removal(successors: Vec<Successor>, free: Option<usize>, fits: bool) -> Vec<Successor> {
    if successors.iter().any(|one| one.has_host) {
        return successors.into_iter().filter(|one| one.has_host).collect();
    }
    match free {
        None if fits => successors,
        Some(1..) => successors.into_iter().take(1).collect(),
        _ => Vec::new(),
    }
}
