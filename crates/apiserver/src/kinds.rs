//! The kinds that the server knows: built in, defined by CustomResourceDefinitions, and records.

mod acceptance;
mod builtin;
mod columns;
mod conversion;
mod definition;
mod definition_rules;
mod registry;
pub(crate) mod scale;

use std::sync::Arc;

use serde_json::Value;

use crate::meta::names::NameRule;
use crate::schema::Schema;

pub(crate) use acceptance::{TakenNames, accept, is_established, names_accepted};
pub(crate) use builtin::{builtin, object_meta, object_meta_published};
pub(crate) use columns::{Cell, Column, cell};
pub use conversion::Conversion;
pub(crate) use definition::{definition_kind, fill_names, prepare_definition};
pub(crate) use definition_rules::{bad_stored_versions, unchanged};
pub(crate) use registry::{Defined, Found, Registry};
pub(crate) use scale::ScalePaths;

/// Where a kind comes from; decides the few things that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Core kinds of this crate.
    Builtin,
    /// A CustomResourceDefinition.
    Custom,
    /// Append-only records, read-only.
    Records,
    /// Answers a question and is not stored (reviews).
    Virtual,
}

/// A kind with all its versions.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) versions: Vec<Version>,
    pub(crate) origin: Origin,
    /// Key of its objects in storage: plural and group. Two views of one kind share it.
    pub(crate) resource: Arc<str>,
    /// `metadata.generation` is kept.
    pub(crate) generation: bool,
    pub(crate) name_rule: NameRule,
    /// Paths that field selectors may use beyond name and namespace.
    pub(crate) selectable: Vec<String>,
    /// Fields whose names differ from the stored form: (here, stored).
    pub(crate) renames: &'static [(&'static str, &'static str)],
    /// Versions whose fields differ from the stored form.
    pub(crate) conversions: Vec<Conversion>,
}

/// One version of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) served: bool,
    pub(crate) storage: bool,
    /// Has the `/status` subresource.
    pub(crate) status: bool,
    /// Where its numbers are, with the `/scale` subresource.
    pub(crate) scale: Option<ScalePaths>,
    /// Checks and prunes objects; also tells server-side apply how lists merge.
    pub(crate) schema: Arc<Schema>,
    /// The schema as it is published in OpenAPI.
    pub(crate) published: Value,
    pub(crate) columns: Vec<Column>,
}

impl Kind {
    /// `apiVersion` of one of its versions.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }

    /// Version in which objects are stored.
    pub(crate) fn storage_version(&self) -> Option<&Version> {
        self.versions.iter().find(|v| v.storage)
    }

    /// The object as a client of `version` sees it.
    pub(crate) fn view_of(&self, version: &str, object: &Value) -> Value {
        let mut object = object.clone();
        if let Some(conversion) = self.conversion(version)
            && object["apiVersion"] != self.api_version(version)
        {
            (conversion.from_stored)(&self.kind, &mut object);
        }
        self.stamp(version, &mut object);
        for (here, stored) in self.renames {
            rename(&mut object, stored, here);
        }
        object
    }

    /// The object as it is stored, from what a client of any version sent.
    pub(crate) fn to_stored(&self, mut object: Value) -> Value {
        for (here, stored) in self.renames {
            rename(&mut object, here, stored);
        }
        if self.renames.is_empty() {
            if let Some(conversion) = self.conversion_of(&object) {
                (conversion.to_stored)(&self.kind, &mut object);
            }
            if let Some(version) = self.storage_version() {
                self.stamp(&version.name, &mut object);
            }
        } else if let Some(map) = object.as_object_mut() {
            // The only renamed kind is the events.k8s.io view of core Events.
            map.insert("apiVersion".to_owned(), "v1".into());
        }
        object
    }

    /// True when `view_of` changes nothing in an object that is stored in this version: it keeps the one in which it was
    /// written.
    pub(crate) fn is_stored_in(&self, api_version: &str, stored: &str) -> bool {
        self.renames.is_empty() && stored == api_version
    }

    /// True when writing an object again that is stored in this version would not change its version.
    pub(crate) fn has_storage_version(&self, stored: &str) -> bool {
        let storage = self
            .storage_version()
            .map(|version| self.api_version(&version.name));
        storage.is_none_or(|version| !self.renames.is_empty() || stored == version)
    }

    /// The conversion of a version; `None` where only `apiVersion` differs.
    pub(crate) fn conversion(&self, version: &str) -> Option<&Conversion> {
        self.conversions
            .iter()
            .find(|conversion| conversion.version == version)
    }

    fn conversion_of(&self, object: &Value) -> Option<&Conversion> {
        let api_version = object["apiVersion"].as_str()?;
        self.conversion(api_version.rsplit('/').next()?)
    }

    fn stamp(&self, version: &str, object: &mut Value) {
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".to_owned(), self.api_version(version).into());
            map.insert("kind".to_owned(), self.kind.clone().into());
        }
    }
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(map) = object.as_object_mut()
        && let Some(value) = map.remove(from)
    {
        map.insert(to.to_owned(), value);
    }
}
