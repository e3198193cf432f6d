//! The built-in kinds. Their schemas stand in `builtin.json`; the columns stand here.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::{Cell, Column, Kind, Origin, Version};
use crate::meta::names::NameRule;
use crate::schema::Schema;
use crate::status::group_resource;

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    // A unit test parses the file; a broken one would leave the kinds without schemas, not crash the program.
    serde_json::from_str(include_str!("builtin.json")).unwrap_or_else(|_| json!({}))
});

static OBJECT_META: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(&SCHEMAS["ObjectMeta"]).unwrap_or_default());

/// Schema of `metadata` of every object.
pub(crate) fn object_meta() -> &'static Schema {
    &OBJECT_META
}

/// Published form of the schema of `metadata`.
pub(crate) fn object_meta_published() -> &'static Value {
    &SCHEMAS["ObjectMeta"]
}

const EVENT_FIELDS: [&str; 9] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "reason",
    "type",
    "source",
];

/// Names in events.k8s.io/v1 and in core/v1, in which Events are stored.
const EVENT_RENAMES: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

struct Base {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    status: bool,
}

fn make(base: Base, columns: Vec<Column>) -> Kind {
    let published = SCHEMAS
        .get(base.kind)
        .cloned()
        .unwrap_or_else(|| json!({"type": "object"}));
    let mut schema = Schema::parse(&published).unwrap_or_default();
    schema
        .properties
        .insert("metadata".to_owned(), OBJECT_META.clone());
    for field in ["apiVersion", "kind"] {
        schema.properties.entry(field.to_owned()).or_default();
    }
    Kind {
        group: base.group.to_owned(),
        plural: base.plural.to_owned(),
        singular: base.kind.to_lowercase(),
        kind: base.kind.to_owned(),
        list_kind: format!("{}List", base.kind),
        short_names: base.short.iter().map(|s| (*s).to_owned()).collect(),
        categories: Vec::new(),
        namespaced: base.namespaced,
        versions: vec![Version {
            name: base.version.to_owned(),
            served: true,
            storage: true,
            status: base.status,
            scale: None,
            schema: Arc::new(schema),
            published,
            columns,
        }],
        origin: Origin::Builtin,
        resource: Arc::from(group_resource(base.group, base.plural)),
        generation: false,
        name_rule: NameRule::Subdomain,
        selectable: Vec::new(),
        renames: &[],
        conversions: Vec::new(),
    }
}

fn name() -> Column {
    Column::new("Name", "string", Cell::Name)
}

fn event_columns() -> Vec<Column> {
    vec![
        Column::new("Last Seen", "string", Cell::LastSeen),
        Column::path("Type", "string", ".type"),
        Column::path("Reason", "string", ".reason"),
        Column::new("Object", "string", Cell::Regarding),
        Column::path("Source", "string", ".reportingComponent").wide(),
        Column::path("Message", "string", ".message"),
        Column::new("Name", "string", Cell::Name).wide(),
    ]
}

fn core(kind: &'static str, plural: &'static str, short: &'static [&'static str]) -> Base {
    Base {
        group: "",
        version: "v1",
        kind,
        plural,
        short,
        namespaced: true,
        status: false,
    }
}

fn review(group: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    let base = Base {
        group,
        version: "v1",
        kind,
        plural,
        short: &[],
        namespaced: false,
        status: false,
    };
    let mut kind = make(base, Vec::new());
    kind.origin = Origin::Virtual;
    kind
}

static KINDS: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(|| kinds().into_iter().map(Arc::new).collect());

/// All built-in kinds.
pub(crate) fn builtin() -> &'static [Arc<Kind>] {
    &KINDS
}

fn kinds() -> Vec<Kind> {
    let mut namespace = make(
        Base {
            namespaced: false,
            status: true,
            ..core("Namespace", "namespaces", &["ns"])
        },
        vec![
            name(),
            Column::path("Status", "string", ".status.phase"),
            Column::age(),
        ],
    );
    namespace.name_rule = NameRule::Label;
    namespace.selectable = vec!["status.phase".to_owned()];
    let mut secret = make(
        core("Secret", "secrets", &[]),
        vec![
            name(),
            Column::path("Type", "string", ".type"),
            data(),
            Column::age(),
        ],
    );
    secret.selectable = vec!["type".to_owned()];
    let config_map = make(
        core("ConfigMap", "configmaps", &["cm"]),
        vec![name(), data(), Column::age()],
    );
    let mut event = make(core("Event", "events", &["ev"]), event_columns());
    event.selectable = EVENT_FIELDS.iter().map(|f| (*f).to_owned()).collect();
    let mut new_event = make(
        Base {
            group: "events.k8s.io",
            ..core("Event", "events", &["ev"])
        },
        event_columns(),
    );
    new_event.resource = event.resource.clone();
    new_event.renames = EVENT_RENAMES;
    new_event.versions[0].schema = Arc::new(renamed(&event.versions[0].schema));
    new_event.versions[0].published = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    new_event.selectable = [
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "reason",
        "type",
    ]
    .iter()
    .map(|f| (*f).to_owned())
    .collect();
    let lease = make(
        Base {
            group: "coordination.k8s.io",
            ..core("Lease", "leases", &[])
        },
        vec![
            name(),
            Column::path("Holder", "string", ".spec.holderIdentity"),
            Column::age(),
        ],
    );
    let mut definition = make(
        Base {
            group: "apiextensions.k8s.io",
            namespaced: false,
            status: true,
            ..core(
                "CustomResourceDefinition",
                "customresourcedefinitions",
                &["crd", "crds"],
            )
        },
        vec![
            name(),
            Column::path("Created At", "string", ".metadata.creationTimestamp"),
        ],
    );
    definition.generation = true;
    definition.categories = vec!["api-extensions".to_owned()];
    vec![
        namespace,
        config_map,
        event,
        secret,
        definition,
        review("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews"),
        review(
            "authorization.k8s.io",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
        ),
        lease,
        new_event,
    ]
}

fn data() -> Column {
    Column::new("Data", "string", Cell::Count("data"))
}

/// The core schema under the names of events.k8s.io.
fn renamed(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    for (here, stored) in EVENT_RENAMES {
        if let Some(field) = schema.properties.remove(*stored) {
            schema.properties.insert((*here).to_owned(), field);
        }
    }
    schema.required = vec!["eventTime".to_owned()];
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema() {
        let schemas: Value = serde_json::from_str(include_str!("builtin.json")).unwrap();
        assert!(object_meta().properties.len() > 10);
        for kind in builtin() {
            let schema = Schema::parse(&schemas[&kind.kind]).unwrap();
            assert!(!schema.properties.is_empty() || schema.preserve, "{}", kind.kind);
        }
    }
}
