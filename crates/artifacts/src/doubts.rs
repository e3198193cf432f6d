//! Images that an agent found to be other bytes than their digest promises. The bytes may have changed here or on their
//! way; whoever looks hashes the stored file.

use std::collections::{HashMap, HashSet};

use resources::Digest;
use resources::keys::FACT_DAMAGED_IMAGE;
use resources::tinkerbell::Workflow;

/// Reports that are remembered; beyond that a file is hashed once more than needed.
const MOST_REPORTS: usize = 1024;

/// What agents have reported.
#[derive(Default)]
pub(crate) struct Doubts {
    /// By the Workflow's uid, so that one report is followed once.
    heard: HashMap<String, Digest>,
    open: HashSet<Digest>,
}

impl Doubts {
    /// The image that this Workflow casts doubt on, the first time it does.
    pub(crate) fn hear(&mut self, workflow: &Workflow) -> Option<Digest> {
        let facts = &workflow.status.as_ref()?.facts;
        let digest: Digest = facts.get(FACT_DAMAGED_IMAGE)?.parse().ok()?;
        let uid = workflow.metadata.uid.clone()?;
        if self.heard.len() >= MOST_REPORTS {
            self.heard.clear();
        }
        if self.heard.insert(uid, digest) == Some(digest) {
            return None;
        }
        self.open.insert(digest);
        Some(digest)
    }

    /// Whether the image is in doubt; the caller looks now.
    pub(crate) fn take(&mut self, digest: Digest) -> bool {
        self.open.remove(&digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(uid: &str, digest: Digest) -> Workflow {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
            "metadata": { "name": "w", "uid": uid }, "spec": {},
            "status": { "facts": { FACT_DAMAGED_IMAGE: digest.to_string() } },
        }))
        .unwrap()
    }

    #[test]
    fn a_report_is_followed_once() {
        let (first, second) = (Digest::new([1; 32]), Digest::new([2; 32]));
        let mut doubts = Doubts::default();
        assert!(!doubts.take(first));
        assert_eq!(doubts.hear(&workflow("a", first)), Some(first));
        assert_eq!(doubts.hear(&workflow("a", first)), None);
        assert!(doubts.take(first));
        assert!(!doubts.take(first));
        assert_eq!(doubts.hear(&workflow("b", first)), Some(first), "another machine");
        assert_eq!(
            doubts.hear(&workflow("a", second)),
            Some(second),
            "another attempt"
        );
    }
}
