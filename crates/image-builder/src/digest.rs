//! The digest over what a part is made of; the cache holds a part under it.

use std::collections::BTreeMap;

use resources::Digest;
use sha2::{Digest as _, Sha256};

use crate::part::Part;
use crate::recipe::FILES;
use crate::versions::versions_text;

/// What a part's result depends on: files, versions, the code's revision, and the same of its inputs.
pub(crate) fn digests() -> BTreeMap<Part, Digest> {
    let mut digests = BTreeMap::new();
    for part in Part::ALL {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{} {}\n{}",
            part.name(),
            part.revision(),
            versions_text(part)
        ));
        for file in FILES
            .iter()
            .filter(|file| part.folders().iter().any(|folder| file.path.starts_with(folder)))
        {
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
        let digests = digests();
        assert_eq!(digests.len(), Part::ALL.len());
        let distinct: std::collections::BTreeSet<_> = digests.values().collect();
        assert_eq!(distinct.len(), Part::ALL.len());
        assert_eq!(super::digests(), digests);
    }
}
