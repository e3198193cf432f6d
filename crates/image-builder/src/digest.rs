//! The digest over what a part is made of; the cache holds a part under it.

use std::collections::BTreeMap;

use resources::Digest;
use sha2::{Digest as _, Sha256};

use crate::part::Part;
use crate::recipe::FILES;
use crate::versions::ReleaseRecipe;

/// What the result of each part of a release depends on: files, versions, the code's revision, and the same of its inputs.
pub(crate) fn digests(release: ReleaseRecipe) -> BTreeMap<Part, Digest> {
    let mut digests = BTreeMap::new();
    for part in Part::ALL {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{} {}\n{}",
            part.name(),
            part.revision(),
            release.versions_text(part)
        ));
        for file in FILES.iter().filter(|file| {
            release
                .sources(part)
                .iter()
                .any(|source| file.path.starts_with(source))
        }) {
            hash.update(format!("\n{} {}\n", file.path, file.text.len()));
            hash.update(file.text);
        }
        for input in part.inputs() {
            if let Some(digest) = digests.get(input) {
                hash.update(format!("\n{}={digest}", input.name()));
            }
        }
        digests.insert(part, Digest::new(hash.finalize().into()));
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_differ_and_digests_repeat() {
        let [newest, older] = ReleaseRecipe::ALL.map(digests);
        assert_eq!(newest.len(), Part::ALL.len());
        let distinct: std::collections::BTreeSet<_> = newest.values().collect();
        assert_eq!(distinct.len(), Part::ALL.len());
        assert_eq!(digests(ReleaseRecipe::NEWEST), newest);
        for part in [Part::Kubernetes, Part::Containers, Part::NodeDebian] {
            assert_ne!(newest[&part], older[&part], "{}", part.name());
        }
        assert_eq!(
            newest[&Part::Boot],
            older[&Part::Boot],
            "the installer is the same"
        );
    }
}
