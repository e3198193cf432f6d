//! Lookup of kinds by path and by resource, rebuilt whenever a definition changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Kind, Version};
use crate::storage::Stored;

/// An immutable set of kinds.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    kinds: Vec<Arc<Kind>>,
    /// By name of the definition.
    defined: HashMap<String, Defined>,
    by_path: HashMap<(String, String, String), (usize, usize)>,
}

/// A definition and the kind that it made.
#[derive(Debug, Clone)]
pub(crate) struct Defined {
    pub(crate) definition: Arc<Stored>,
    pub(crate) kind: Arc<Kind>,
}

/// A served version of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) kind: Arc<Kind>,
    index: usize,
}

impl Found {
    /// The version.
    pub(crate) fn version(&self) -> &Version {
        &self.kind.versions[self.index]
    }

    /// `apiVersion` of its objects.
    pub(crate) fn api_version(&self) -> String {
        self.kind.api_version(&self.version().name)
    }
}

impl Registry {
    /// A registry of these kinds.
    pub(crate) fn new(kinds: Vec<Arc<Kind>>, defined: HashMap<String, Defined>) -> Registry {
        let mut by_path = HashMap::new();
        for (i, kind) in kinds.iter().enumerate() {
            for (j, version) in kind.versions.iter().enumerate().filter(|(_, v)| v.served) {
                let path = (kind.group.clone(), version.name.clone(), kind.plural.clone());
                by_path.insert(path, (i, j));
            }
        }
        Registry {
            kinds,
            defined,
            by_path,
        }
    }

    /// The kind behind `/apis/<group>/<version>/<plural>`.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Found> {
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        let (i, j) = *self.by_path.get(&path)?;
        Some(Found {
            kind: self.kinds[i].clone(),
            index: j,
        })
    }

    /// The kind that serves `apiVersion` and `kind`.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.kinds.iter().find(|k| {
            k.kind == kind && k.group == group && k.versions.iter().any(|v| v.served && v.name == version)
        })
    }

    /// What the definition of this name made.
    pub(crate) fn defined(&self, name: &str) -> Option<&Defined> {
        self.defined.get(name)
    }

    /// All kinds in the order of discovery.
    pub(crate) fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// Groups with their served versions, most preferred first.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in &self.kinds {
            let versions = groups.entry(&kind.group).or_default();
            for version in kind.versions.iter().filter(|v| v.served) {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|v| std::cmp::Reverse(priority(v)));
        }
        groups.retain(|_, versions| !versions.is_empty());
        groups
    }
}

/// Kubernetes' order of versions: stable before beta before alpha, then the higher number.
fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let parsed = version.strip_prefix('v').and_then(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major: u32 = rest[..digits].parse().ok()?;
        let (stage, minor) = match &rest[digits..] {
            "" => (3, "0"),
            tail if tail.starts_with("beta") => (2, &tail[4..]),
            tail if tail.starts_with("alpha") => (1, &tail[5..]),
            _ => return None,
        };
        Some((stage, major, minor.parse().ok()?))
    });
    let (stage, major, minor) = parsed.unwrap_or((0, 0, 0));
    (stage, major, minor, std::cmp::Reverse(version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::priority;

    #[test]
    fn versions_sort_as_kubernetes_does() {
        let mut versions = [
            "foo1", "v1alpha1", "v2", "v1beta2", "v10", "v1beta10", "v1", "foo10",
        ];
        versions.sort_by_key(|v| std::cmp::Reverse(priority(v)));
        assert_eq!(
            versions,
            [
                "v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo1", "foo10"
            ]
        );
    }
}
