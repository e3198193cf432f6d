//! Records as read-only kinds of group `records.gantry.dev`.
//!
//! A record has no namespace; its machine is in the label and field selector. The name is made of the record's
//! number, so that names sort as records were committed.

use std::sync::Arc;

use serde_json::{Value, json};
use store::records::Record;

use crate::kinds::{Cell, Column, Kind, Origin, Version, object_meta};
use crate::meta::names::NameRule;
use crate::schema::Schema;
use crate::status::group_resource;

/// Group of all record kinds.
pub(crate) const GROUP: &str = "records.gantry.dev";
/// Their version.
pub(crate) const VERSION: &str = "v1alpha1";
/// Label with the key of the machine.
pub(crate) const MACHINE_LABEL: &str = "gantry.dev/machine";

/// A kind of records that the API shows.
#[derive(Debug, Clone)]
pub struct RecordKind {
    /// Kind, which is also the kind in the records file: `BootEvent`.
    pub kind: String,
    /// Plural: `bootevents`.
    pub plural: String,
    /// Columns beside name, machine and age: heading and JSONPath below `.data`, such as `.stage`.
    pub columns: Vec<(String, String)>,
}

/// The API kind of a record kind.
pub(crate) fn record_kind(given: &RecordKind) -> Kind {
    let published = json!({"type": "object", "description": "A record: evidence of something that happened.",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "machine": {"type": "string", "description": "Key of the machine."},
        "time": {"type": "string", "format": "date-time", "description": "When it happened."},
        "data": {"type": "object", "description": "What happened.", "x-kubernetes-preserve-unknown-fields": true}
    }});
    let mut schema = Schema::parse(&published).unwrap_or_default();
    schema
        .properties
        .insert("metadata".to_owned(), object_meta().clone());
    let mut columns = vec![
        Column::new("Name", "string", Cell::Name).wide(),
        Column::path("Time", "string", ".time"),
        Column::path("Machine", "string", ".machine"),
    ];
    columns.extend(
        given
            .columns
            .iter()
            .map(|(name, path)| Column::path(name, "string", &format!(".data{path}"))),
    );
    Kind {
        group: GROUP.to_owned(),
        plural: given.plural.clone(),
        singular: given.kind.to_lowercase(),
        kind: given.kind.clone(),
        list_kind: format!("{}List", given.kind),
        short_names: Vec::new(),
        categories: vec!["records".to_owned()],
        namespaced: false,
        versions: vec![Version {
            name: VERSION.to_owned(),
            served: true,
            storage: true,
            status: false,
            scale: None,
            schema: Arc::new(schema),
            published,
            columns,
        }],
        origin: Origin::Records,
        resource: Arc::from(group_resource(GROUP, &given.plural)),
        generation: false,
        name_rule: NameRule::Subdomain,
        selectable: vec!["machine".to_owned()],
        renames: &[],
        conversions: Vec::new(),
    }
}

/// Name of a record.
pub(crate) fn record_name(id: i64) -> String {
    format!("r{id:012}")
}

/// Number in the name of a record.
pub(crate) fn record_id(name: &str) -> Option<i64> {
    name.strip_prefix('r')?.parse().ok()
}

/// The record as an object.
pub(crate) fn record_object(record: &Record) -> Value {
    let time = jiff::Timestamp::from_millisecond(record.at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let name = record_name(record.id);
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": record.kind,
        "metadata": {"name": name, "uid": name, "resourceVersion": record.id.to_string(),
            "creationTimestamp": crate::meta::time::stamp(time), "labels": {MACHINE_LABEL: record.machine}},
        "machine": record.machine, "time": time.to_string(), "data": record.payload})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_sort() {
        assert_eq!(record_id(&record_name(42)), Some(42));
        assert!(record_name(9) < record_name(10));
        assert_eq!(record_id("x"), None);
    }
}
