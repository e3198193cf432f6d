//! Conversion of objects between the versions of a kind, by functions of the program.

use serde_json::Value;

/// Changes an object of a kind.
type Convert = fn(kind: &str, object: &mut Value);

/// How the objects of a group differ between the version in which they are stored and another one. Without a conversion the
/// versions of a kind differ in `apiVersion` alone, as with Kubernetes' strategy `None`.
///
/// The owners of fields in `metadata.managedFields` keep the version in which they wrote, and the paths of that version.
#[derive(Debug, Clone, Copy)]
pub struct Conversion {
    /// API group.
    pub group: &'static str,
    /// The other version.
    pub version: &'static str,
    /// Makes an object of a kind one of the other version, but for its `apiVersion`.
    pub from_stored: Convert,
    /// Makes an object of the other version one that can be stored, but for its `apiVersion`.
    pub to_stored: Convert,
}

impl From<(&'static str, &'static str, Convert, Convert)> for Conversion {
    fn from(
        (group, version, from_stored, to_stored): (&'static str, &'static str, Convert, Convert),
    ) -> Self {
        Self {
            group,
            version,
            from_stored,
            to_stored,
        }
    }
}
