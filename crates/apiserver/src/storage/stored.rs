//! An object as it was committed.

use bytes::Bytes;
use serde_json::Value;

use super::head::{self, Head};
use crate::meta::set_meta;

/// A committed object: its JSON, and what is asked so often that nobody should have to decode it for that.
#[derive(Debug)]
pub(crate) struct Stored {
    /// With its resourceVersion.
    json: Bytes,
    pub(super) head: Head,
    /// Its resourceVersion.
    pub(crate) version: u64,
    /// The version at which it was created.
    pub(crate) created: u64,
    /// Bytes of its JSON, up to those of its resourceVersion.
    pub(crate) bytes: usize,
}

impl Stored {
    pub(super) fn new(mut value: Value, version: u64, created: u64, bytes: usize) -> Stored {
        set_meta(&mut value, "resourceVersion", Some(version.to_string().into()));
        Stored {
            // A copy of its size: the text grows by doubling, and what it has too much would stay.
            json: Bytes::copy_from_slice(value.to_string().as_bytes()),
            head: Head::of(&value),
            version,
            created,
            bytes,
        }
    }

    /// An object as its row holds it; none if it has to be decoded to tell what is wrong.
    pub(super) fn of_row(json: &[u8], version: u64, created: u64) -> Option<Stored> {
        Some(Stored {
            head: Head::read(json, version)?,
            json: Bytes::copy_from_slice(json),
            version,
            created,
            bytes: json.len(),
        })
    }

    /// Its JSON, for the row and for every reader.
    pub(crate) fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The parts of its JSON that make the object without `metadata.managedFields`.
    pub(crate) fn json_without_managers(&self) -> [&[u8]; 2] {
        head::without_managers(&self.json)
    }

    /// The object, decoded anew: a tree takes several times the memory of its JSON, so nobody should keep it.
    pub(crate) fn value(&self) -> Value {
        // It was made from a tree, or read once, so it is always JSON.
        let text = std::str::from_utf8(&self.json).unwrap_or_default();
        text.parse().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        &self.head.uid
    }

    /// The version in which it is stored, such as `tinkerbell.org/v1alpha1`.
    pub(crate) fn api_version(&self) -> &str {
        &self.head.api_version
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.head.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.head.name
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head
            .labels
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Uids of its owners.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        self.head.owners.iter().map(AsRef::as_ref)
    }

    pub(crate) fn has_finalizers(&self) -> bool {
        self.head.finalizers
    }

    pub(crate) fn is_terminating(&self) -> bool {
        self.head.terminating
    }
}
