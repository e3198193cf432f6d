//! An object as it was committed.

use bytes::Bytes;
use serde_json::Value;

use super::head::{self, Head};
use super::managers::{Managers, Shapes};
use crate::meta::set_meta;

/// A committed object: its JSON, and what is asked so often that nobody should have to decode it for that.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its JSON with its resourceVersion, without `metadata.managedFields` where these are apart.
    json: Bytes,
    /// `metadata.managedFields`, and where they belong.
    managers: Option<(usize, Managers)>,
    head: Head,
    /// Its resourceVersion.
    pub(crate) version: u64,
    /// The version at which it was created.
    pub(crate) created: u64,
    /// Bytes of its JSON, up to those of its resourceVersion.
    pub(crate) bytes: usize,
}

impl Stored {
    pub(super) fn new(mut value: Value, version: u64, created: u64, bytes: usize, shapes: &Shapes) -> Stored {
        set_meta(&mut value, "resourceVersion", Some(version.to_string().into()));
        let (json, managers) = apart(&value.to_string(), shapes);
        Stored {
            json,
            managers,
            head: Head::of(&value),
            version,
            created,
            bytes,
        }
    }

    /// An object as its row holds it; none if it has to be decoded to tell what is wrong.
    pub(super) fn of_row(json: &[u8], version: u64, created: u64, shapes: &Shapes) -> Option<Stored> {
        let head = Head::read(json, version)?;
        let bytes = json.len();
        let (json, managers) = apart(std::str::from_utf8(json).ok()?, shapes);
        Some(Stored {
            json,
            managers,
            head,
            version,
            created,
            bytes,
        })
    }

    /// Its JSON, for the row and for readers.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.bytes);
        self.write(&mut json);
        json
    }

    /// Appends its JSON.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        match &self.managers {
            Some((at, managers)) => {
                let (before, behind) = self.json.split_at(*at);
                to.extend_from_slice(before);
                managers.write(to);
                to.extend_from_slice(behind);
            }
            None => to.extend_from_slice(&self.json),
        }
    }

    /// Its JSON without `metadata.managedFields`.
    pub(crate) fn json_without_managers(&self) -> &Bytes {
        &self.json
    }

    /// Bytes of memory that it takes, beside what others have too.
    pub(super) fn size(&self) -> usize {
        let managers = self.managers.as_ref();
        self.json.len() + managers.map_or(0, |(_, managers)| managers.size())
    }

    /// The object, decoded anew: a tree takes several times the memory of its JSON, so nobody should keep it.
    pub(crate) fn value(&self) -> Value {
        // It was made from a tree, or read once, so it is always JSON.
        serde_json::from_slice(&self.json()).unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.head.uid()
    }

    /// The version in which it is stored, such as `tinkerbell.org/v1alpha1`.
    pub(crate) fn api_version(&self) -> &str {
        self.head.api_version()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.head.namespace()
    }

    pub(crate) fn name(&self) -> &str {
        self.head.name()
    }

    /// Namespace and name.
    pub(super) fn place(&self) -> (&str, &str) {
        (self.namespace(), self.name())
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.labels()
    }

    /// Uids of its owners.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        self.head.owners()
    }

    pub(crate) fn has_finalizers(&self) -> bool {
        self.head.finalizers
    }

    pub(crate) fn is_terminating(&self) -> bool {
        self.head.terminating
    }
}

/// The JSON of an object and its managers, each in memory of its size.
fn apart(json: &str, shapes: &Shapes) -> (Bytes, Option<(usize, Managers)>) {
    let found = head::managers(json.as_bytes());
    let parts = found
        .and_then(|(start, end)| Some((start, json.get(..start)?, json.get(start..end)?, json.get(end..)?)));
    match parts {
        Some((start, before, managers, behind)) => {
            let mut whole = Vec::with_capacity(before.len() + behind.len());
            whole.extend_from_slice(before.as_bytes());
            whole.extend_from_slice(behind.as_bytes());
            (whole.into(), Some((start, shapes.take(managers))))
        }
        None => (Bytes::copy_from_slice(json.as_bytes()), None),
    }
}
