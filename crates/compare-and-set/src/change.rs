//! One change of a field, and the changes that make one JSON object out of another.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation};
use serde_json::{Map, Value};

/// A field that gets a value, or goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Change(PatchOperation);

impl Change {
    /// Gives the field at `path` this value, whether or not it has one. The field that holds it must be there.
    #[must_use]
    pub fn set(path: &[&str], value: Value) -> Self {
        // "add" replaces a member that is there.
        Self(PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(path.iter().copied()),
            value,
        }))
    }

    /// Takes away the field at `path`, which must be there.
    #[must_use]
    pub fn remove(path: &[&str]) -> Self {
        Self(PatchOperation::Remove(RemoveOperation {
            path: PointerBuf::from_tokens(path.iter().copied()),
        }))
    }

    pub(crate) fn into_operation(self) -> PatchOperation {
        self.0
    }
}

/// What makes `new` out of `old`, both below `field`; nothing finer than a member is compared.
pub(crate) fn differences(field: &str, old: Option<&Value>, new: &Value) -> Vec<Change> {
    let (Some(Value::Object(old)), Value::Object(new)) = (old, new) else {
        return match old {
            Some(old) if old == new => Vec::new(),
            _ => vec![Change::set(&[field], new.clone())],
        };
    };
    members(field, old, new)
}

fn members(field: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<Change> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| Change::remove(&[field, key]));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    gone.chain(changed.map(|(key, value)| Change::set(&[field, key], value.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn only_members_that_differ_are_written() {
        let old = json!({"same": 1, "other": {"a": 1}, "gone": true});
        let new = json!({"same": 1, "other": {"a": 2}, "new": [1]});
        let mut changes = differences("status", Some(&old), &new);
        changes.sort_by_key(|change| format!("{change:?}"));
        let mut expected = vec![
            Change::remove(&["status", "gone"]),
            Change::set(&["status", "new"], json!([1])),
            Change::set(&["status", "other"], json!({"a": 2})),
        ];
        expected.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(changes, expected);
    }

    #[test]
    fn what_is_not_there_yet_is_set_as_a_whole() {
        let new = json!({"state": "available"});
        assert_eq!(
            differences("status", None, &new),
            [Change::set(&["status"], new.clone())]
        );
        assert_eq!(differences("status", Some(&new), &new), []);
    }

    #[test]
    fn names_with_slashes_are_names_and_not_paths() {
        let Change(operation) = Change::set(&["metadata", "labels", "gantry.dev/x~y"], json!("1"));
        let text = serde_json::to_value(operation).unwrap();
        assert_eq!(text["path"], "/metadata/labels/gantry.dev~1x~0y");
    }
}
