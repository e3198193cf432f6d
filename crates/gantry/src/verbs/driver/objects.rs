//! Objects for programs, as `kubectl get -o json` prints a list of them.

use serde::Serialize;
use serde::ser::SerializeMap as _;

/// A list of objects.
pub(super) struct Objects<'a, T>(pub(super) &'a [T]);

impl<T: Serialize> Serialize for Objects<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_map(Some(3))?;
        list.serialize_entry("apiVersion", "v1")?;
        list.serialize_entry("kind", "List")?;
        list.serialize_entry("items", self.0)?;
        list.end()
    }
}
