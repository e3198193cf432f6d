//! `cluster.x-k8s.io/v1beta1`: the kinds of this group as clients of Cluster API before 1.11 know them. Objects are stored in
//! v1beta2, and the fields that differ are moved on the way in and out, as Cluster API's own conversion does.
//!
//! What controllers of Cluster API write for older clients alone (the condition `Ready`, the counters of replicas) is derived
//! from what v1beta2 says, and dropped from what such a client sends.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use serde_json::{Map, Value, json};

/// Name of the version.
pub const VERSION: &str = "v1beta1";

/// The only version of the providers' kinds.
const PROVIDER_VERSION: &str = "v1alpha1";

/// A difference between v1beta2 and v1beta1.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// A field is at another place: in v1beta2, in v1beta1.
    Moved(&'static str, &'static str),
    /// As `Moved`, and older clients find the same number at a third place.
    Counted(&'static str, &'static str, &'static str),
    /// A reference to an object of a provider has its version and namespace.
    Reference(&'static str),
    /// A reference to a node has its version and kind.
    Node(&'static str),
    /// The condition `Ready` of older clients says what this condition says.
    Ready(&'static str),
}

use Change::{Counted, Moved, Node, Ready, Reference};

const CLUSTER: &[Change] = &[
    Reference("spec.infrastructureRef"),
    Reference("spec.controlPlaneRef"),
    Moved(
        "status.initialization.controlPlaneInitialized",
        "status.controlPlaneReady",
    ),
    Moved(
        "status.initialization.infrastructureProvisioned",
        "status.infrastructureReady",
    ),
    Moved("status.conditions", "status.v1beta2.conditions"),
    Ready("Available"),
];

const MACHINE: &[Change] = &[
    Reference("spec.infrastructureRef"),
    Node("status.nodeRef"),
    Moved(
        "status.initialization.bootstrapDataSecretCreated",
        "status.bootstrapReady",
    ),
    Moved(
        "status.initialization.infrastructureProvisioned",
        "status.infrastructureReady",
    ),
    Moved("status.conditions", "status.v1beta2.conditions"),
    Ready("Ready"),
];

const MACHINES: &[Change] = &[
    Moved("status.conditions", "status.v1beta2.conditions"),
    Counted(
        "status.readyReplicas",
        "status.v1beta2.readyReplicas",
        "status.readyReplicas",
    ),
    Counted(
        "status.availableReplicas",
        "status.v1beta2.availableReplicas",
        "status.availableReplicas",
    ),
    Counted(
        "status.upToDateReplicas",
        "status.v1beta2.upToDateReplicas",
        "status.updatedReplicas",
    ),
    Ready("Available"),
];

fn changes(kind: &str) -> &'static [Change] {
    match kind {
        "Cluster" => CLUSTER,
        "Machine" => MACHINE,
        _ => MACHINES,
    }
}

/// Group, version, and the two directions of its conversion from and to the stored version.
#[must_use]
pub fn conversion() -> (&'static str, &'static str, Convert, Convert) {
    ("cluster.x-k8s.io", VERSION, from_v1beta2, to_v1beta2)
}

/// Changes an object of a kind.
pub type Convert = fn(kind: &str, object: &mut Value);

/// Makes an object of v1beta2 one of v1beta1, but for its `apiVersion`.
pub fn from_v1beta2(kind: &str, object: &mut Value) {
    let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
    for change in changes(kind) {
        match *change {
            Moved(new, old) => relocate(object, new, old),
            Counted(new, old, third) => {
                let count = take(object, new);
                for place in [old, third] {
                    count.iter().for_each(|count| put(object, place, count.clone()));
                }
            }
            Reference(path) => {
                if let Some(reference) = object.pointer_mut(&pointer(path)) {
                    *reference = object_reference(reference, namespace.as_deref());
                }
            }
            Node(path) => {
                if let Some(Value::Object(node)) = object.pointer_mut(&pointer(path)) {
                    node.insert("apiVersion".to_owned(), "v1".into());
                    node.insert("kind".to_owned(), "Node".into());
                }
            }
            Ready(source) => {
                if let Some(ready) = ready(&object["status"]["v1beta2"]["conditions"], source) {
                    put(object, "status.conditions", json!([ready]));
                }
            }
        }
    }
}

/// Makes an object of v1beta1 one of v1beta2, but for its `apiVersion`.
pub fn to_v1beta2(kind: &str, object: &mut Value) {
    for change in changes(kind).iter().rev() {
        match *change {
            Moved(new, old) => relocate(object, old, new),
            Counted(new, old, third) => {
                take(object, third);
                relocate(object, old, new);
            }
            Reference(path) => {
                if let Some(reference) = object.pointer_mut(&pointer(path)) {
                    *reference = contract_reference(reference);
                }
            }
            Node(path) => {
                if let Some(Value::Object(node)) = object.pointer_mut(&pointer(path)) {
                    node.retain(|field, _| field == "name");
                }
            }
            Ready(_) => {
                take(object, "status.conditions");
            }
        }
    }
}

/// Adds the version to a definition of this group, served and not stored.
pub(crate) fn add_to(definition: &mut CustomResourceDefinition) {
    let kind = definition.spec.names.kind.clone();
    let older: Vec<CustomResourceDefinitionVersion> = definition
        .spec
        .versions
        .iter()
        .map(|newer| version(&kind, newer))
        .collect();
    definition.spec.versions.extend(older);
}

fn version(kind: &str, newer: &CustomResourceDefinitionVersion) -> CustomResourceDefinitionVersion {
    let mut version = newer.clone();
    VERSION.clone_into(&mut version.name);
    version.storage = false;
    if let Some(root) = version
        .schema
        .as_mut()
        .and_then(|s| s.open_api_v3_schema.as_mut())
    {
        older_schema(kind, root);
    }
    for column in version.additional_printer_columns.iter_mut().flatten() {
        for change in changes(kind) {
            if let Moved(new, old) | Counted(new, old, _) = change
                && let Some(rest) = column.json_path.strip_prefix(&format!(".{new}"))
            {
                column.json_path = format!(".{old}{rest}");
                break;
            }
        }
    }
    version
}

/// What [`from_v1beta2`] does, done to a schema.
fn older_schema(kind: &str, root: &mut JSONSchemaProps) {
    for change in changes(kind) {
        match *change {
            Moved(new, old) => {
                if let Some(schema) = take_schema(root, new) {
                    put_schema(root, old, schema);
                }
            }
            Counted(new, old, third) => {
                if let Some(schema) = take_schema(root, new) {
                    put_schema(root, third, schema.clone());
                    put_schema(root, old, schema);
                }
            }
            Reference(path) | Node(path) => {
                if let Some(schema) = take_schema(root, path) {
                    let mut reference = strings(&["apiVersion", "kind", "name", "namespace"]);
                    reference.description = schema.description;
                    put_schema(root, path, reference);
                }
            }
            Ready(_) => {
                let mut condition = strings(&[
                    "type",
                    "status",
                    "severity",
                    "reason",
                    "message",
                    "lastTransitionTime",
                ]);
                condition.required = Some(vec!["type".to_owned(), "status".to_owned()]);
                let conditions = json!({
                    "type": "array", "items": condition,
                    "description": "Condition `Ready`, as clients before v1beta2 read it."
                });
                if let Ok(conditions) = serde_json::from_value(conditions) {
                    put_schema(root, "status.conditions", conditions);
                }
            }
        }
    }
}

/// An object whose fields are these texts.
fn strings(fields: &[&str]) -> JSONSchemaProps {
    let text = || JSONSchemaProps {
        type_: Some("string".to_owned()),
        ..JSONSchemaProps::default()
    };
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        properties: Some(fields.iter().map(|field| ((*field).to_owned(), text())).collect()),
        ..JSONSchemaProps::default()
    }
}

fn take_schema(root: &mut JSONSchemaProps, path: &str) -> Option<JSONSchemaProps> {
    let (parents, last) = path.rsplit_once('.')?;
    let mut at = root;
    for field in parents.split('.') {
        at = at.properties.as_mut()?.get_mut(field)?;
    }
    at.properties.as_mut()?.remove(last)
}

fn put_schema(root: &mut JSONSchemaProps, path: &str, schema: JSONSchemaProps) {
    let mut at = root;
    for field in path.split('.') {
        at.type_.get_or_insert_with(|| "object".to_owned());
        at = at
            .properties
            .get_or_insert_default()
            .entry(field.to_owned())
            .or_default();
    }
    *at = schema;
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn relocate(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = take(object, from) {
        put(object, to, value);
    }
}

/// Removes a field, and the object that it was in when that has nothing else, but for `spec` and `status`.
fn take(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = path.rsplit_once('.')?;
    let fields = object.pointer_mut(&pointer(parent))?.as_object_mut()?;
    let value = fields.remove(last)?;
    let empty = fields.is_empty();
    if empty && parent.contains('.') {
        take(object, parent);
    }
    Some(value)
}

fn put(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for field in path.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[field];
    }
    *at = value;
}

/// A reference of v1beta1: `apiVersion`, `kind`, `name` and `namespace`. One that names nothing stays empty.
fn object_reference(reference: &Value, namespace: Option<&str>) -> Value {
    let text = |field: &str| reference[field].as_str().filter(|text| !text.is_empty());
    let (Some(group), Some(kind), Some(name)) = (text("apiGroup"), text("kind"), text("name")) else {
        return json!({});
    };
    let mut older = json!({"apiVersion": format!("{group}/{PROVIDER_VERSION}"), "kind": kind, "name": name});
    if let Some(namespace) = namespace {
        older["namespace"] = namespace.into();
    }
    older
}

/// A reference of v1beta2: `apiGroup`, `kind` and `name`.
fn contract_reference(reference: &Value) -> Value {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let version = text("apiVersion");
    let group = version.split_once('/').map_or(version, |(group, _)| group);
    json!({"apiGroup": group, "kind": text("kind"), "name": text("name")})
}

/// The condition `Ready` of v1beta1. A condition that does not hold has a severity there.
fn ready(conditions: &Value, source: &str) -> Option<Value> {
    let found = conditions.as_array()?.iter().find(|c| c["type"] == source)?;
    let mut ready = json!({"type": "Ready", "status": found["status"],
        "lastTransitionTime": found["lastTransitionTime"]});
    if found["status"] != "True" {
        ready["reason"] = found["reason"].clone();
        ready["message"] = found["message"].clone();
    }
    if found["status"] == "False" {
        ready["severity"] = "Info".into();
    }
    Some(ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Value {
        json!({
            "metadata": {"name": "demo-cp-1", "namespace": "lab"},
            "spec": {"clusterName": "demo", "bootstrap": {},
                "infrastructureRef": {"apiGroup": "gantry.dev", "kind": "ProviderMachine", "name": "demo-cp-1"}},
            "status": {"nodeRef": {"name": "srv-1"}, "phase": "Running",
                "initialization": {"infrastructureProvisioned": true},
                "conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady", "message": "why",
                    "lastTransitionTime": "2026-01-02T03:04:05Z"}]},
        })
    }

    #[test]
    fn a_machine_goes_out_as_older_clients_know_it_and_comes_back() {
        let mut object = machine();
        from_v1beta2("Machine", &mut object);
        assert_eq!(
            object["spec"]["infrastructureRef"],
            json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "name": "demo-cp-1",
                "namespace": "lab"})
        );
        let status = &object["status"];
        assert_eq!(
            status["nodeRef"],
            json!({"apiVersion": "v1", "kind": "Node", "name": "srv-1"})
        );
        assert_eq!(status["infrastructureReady"], true);
        assert_eq!(status.get("initialization"), None);
        assert_eq!(status["v1beta2"]["conditions"][0]["reason"], "NodeNotReady");
        assert_eq!(status["conditions"][0]["severity"], "Info");
        to_v1beta2("Machine", &mut object);
        assert_eq!(object, machine());
    }

    #[test]
    fn counters_are_where_both_look_for_them() {
        let group = || {
            json!({"metadata": {"namespace": "lab"}, "spec": {"replicas": 2},
                "status": {"replicas": 2, "readyReplicas": 1, "availableReplicas": 0, "upToDateReplicas": 2}})
        };
        let mut object = group();
        from_v1beta2("MachineDeployment", &mut object);
        assert_eq!(
            object["status"],
            json!({"replicas": 2, "readyReplicas": 1, "availableReplicas": 0, "updatedReplicas": 2,
                "v1beta2": {"readyReplicas": 1, "availableReplicas": 0, "upToDateReplicas": 2}})
        );
        to_v1beta2("MachineDeployment", &mut object);
        assert_eq!(object, group());
    }

    #[test]
    fn an_object_without_a_status_stays_without() {
        for kind in ["Cluster", "Machine", "MachineSet"] {
            let bare = json!({"metadata": {"name": "a"}, "spec": {"clusterName": "a"}});
            let mut object = bare.clone();
            from_v1beta2(kind, &mut object);
            to_v1beta2(kind, &mut object);
            assert_eq!(object, bare, "{kind}");
        }
    }

    #[test]
    fn columns_and_schemas_follow_the_fields() {
        for definition in crate::crds() {
            if definition.spec.group != "cluster.x-k8s.io" {
                continue;
            }
            let older = definition.spec.versions.iter().find(|v| v.name == VERSION);
            let older = older.unwrap_or_else(|| panic!("{:?}", definition.metadata.name));
            assert!(older.served && !older.storage);
            let schema = older.schema.as_ref().unwrap().open_api_v3_schema.as_ref();
            let schema = serde_json::to_value(schema.unwrap()).unwrap();
            for column in older.additional_printer_columns.iter().flatten() {
                let path = column.json_path.trim_start_matches('.');
                let path = path.split('[').next().unwrap().replace('.', "/properties/");
                if !path.starts_with("metadata") {
                    assert!(schema.pointer(&format!("/properties/{path}")).is_some(), "{path}");
                }
            }
        }
    }
}
