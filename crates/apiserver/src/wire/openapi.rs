//! OpenAPI v3 per group and version, and v2 for all (see [`older`] for what v2 leaves out), from the schemas of the kinds. Pure.
//!
//! kubectl reads from them what `explain` prints, whether the server validates fields, and how lists merge.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::openapi_v2::older;
use crate::endpoint::{self, Place, Verb};
use crate::kinds::{Kind, Origin, Registry, Version, scale};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// `/openapi/v3`: where the documents are, each with a hash of its content.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let Some(document) = v3(registry, group, version) else {
                continue;
            };
            let mut hasher = DefaultHasher::new();
            document.to_string().hash(&mut hasher);
            let path = base(group, version);
            let url = format!("/openapi/v3{path}?hash={:016X}", hasher.finish());
            paths.insert(
                path.trim_start_matches('/').to_owned(),
                json!({"serverRelativeURL": url}),
            );
        }
    }
    json!({"paths": paths})
}

fn base(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

/// The document of one group and version.
pub(crate) fn v3(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for (kind, v) in served(registry).filter(|(k, v)| k.group == group && v.name == version) {
        add_schemas(&mut schemas, kind, v, "#/components/schemas/");
        add_paths(&mut paths, kind, v);
    }
    if paths.is_empty() {
        return None;
    }
    schemas.insert(META.to_owned(), crate::kinds::object_meta_published().clone());
    schemas.insert(LIST_META.to_owned(), list_meta());
    Some(json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": schemas}}))
}

/// The document of everything in the older form.
pub(crate) fn v2(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    for (kind, v) in served(registry) {
        add_schemas(&mut definitions, kind, v, "#/definitions/");
    }
    definitions.insert(META.to_owned(), crate::kinds::object_meta_published().clone());
    definitions.insert(LIST_META.to_owned(), list_meta());
    definitions.values_mut().for_each(older);
    json!({"swagger": "2.0", "info": info(), "paths": {}, "definitions": definitions})
}

fn info() -> Value {
    json!({"title": "Gantry", "version": env!("CARGO_PKG_VERSION")})
}

fn list_meta() -> Value {
    json!({"type": "object", "description": "Metadata of a list.", "properties": {
        "resourceVersion": {"type": "string"}, "continue": {"type": "string"},
        "remainingItemCount": {"type": "integer", "format": "int64"}, "selfLink": {"type": "string"}}})
}

fn served(registry: &Registry) -> impl Iterator<Item = (&Kind, &Version)> {
    let kinds = registry.kinds().iter();
    kinds.flat_map(|k| k.versions.iter().filter(|v| v.served).map(|v| (&**k, v)))
}

/// Name of a schema: the group reversed, then version and kind.
fn schema_name(kind: &Kind, version: &Version) -> String {
    let group = match (kind.origin, kind.group.as_str()) {
        (Origin::Builtin | Origin::Virtual, "") => "io.k8s.api.core".to_owned(),
        (Origin::Builtin | Origin::Virtual, group) => {
            format!("io.k8s.api.{}", group.split('.').next().unwrap_or(group))
        }
        (_, group) => group.split('.').rev().collect::<Vec<_>>().join("."),
    };
    format!("{group}.{}.{}", version.name, kind.kind)
}

fn gvk(kind: &Kind, version: &Version, name: &str) -> Value {
    json!({"group": kind.group, "version": version.name, "kind": name})
}

fn add_schemas(schemas: &mut Map<String, Value>, kind: &Kind, version: &Version, prefix: &str) {
    let name = schema_name(kind, version);
    let mut schema = version.published.clone();
    if !schema.is_object() {
        schema = json!({"type": "object"});
    }
    let text = |t: &str| json!({"type": "string", "description": t});
    let metadata = json!({"description": "Standard object's metadata.", "default": {},
        "allOf": [{"$ref": format!("{prefix}{META}")}]});
    if let Some(map) = schema.as_object_mut() {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        properties["metadata"] = if prefix.contains("components") {
            metadata
        } else {
            json!({"$ref": format!("{prefix}{META}")})
        };
        properties["apiVersion"] =
            text("APIVersion defines the versioned schema of this representation of an object.");
        properties["kind"] =
            text("Kind is a string value representing the REST resource this object represents.");
    }
    schema["x-kubernetes-group-version-kind"] = json!([gvk(kind, version, &kind.kind)]);
    let items = json!({"type": "array", "items": {"$ref": format!("{prefix}{name}")}});
    let list = json!({"type": "object", "required": ["items"], "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "metadata": {"$ref": format!("{prefix}{LIST_META}")}, "items": items},
        "x-kubernetes-group-version-kind": [gvk(kind, version, &kind.list_kind)]});
    schemas.insert(format!("{name}List"), list);
    schemas.insert(name, schema);
}

fn add_paths(paths: &mut Map<String, Value>, kind: &Kind, version: &Version) {
    let root = base(&kind.group, &version.name);
    let root = if kind.namespaced {
        format!("{root}/namespaces/{{namespace}}")
    } else {
        root
    };
    let collection = format!("{root}/{}", kind.plural);
    let mut add = |path: String, place: Place| {
        paths.insert(path, Value::Object(operations(kind, version, place)));
    };
    if version.status {
        add(format!("{collection}/{{name}}/status"), Place::Status);
    }
    if version.scale.is_some() {
        add(format!("{collection}/{{name}}/scale"), Place::Scale);
    }
    add(format!("{collection}/{{name}}"), Place::Object);
    add(collection, Place::Collection);
}

/// The operations of a path, by HTTP method.
fn operations(kind: &Kind, version: &Version, place: Place) -> Map<String, Value> {
    let write: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
    let list: &[&str] = &[
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "watch",
        "resourceVersion",
        "timeoutSeconds",
    ];
    let mut operations = Map::new();
    for verb in endpoint::verbs(kind.origin, place) {
        let (method, action, parameters): (&str, &str, &[&str]) = match verb {
            Verb::List => ("get", "list", list),
            Verb::Create => ("post", "post", write),
            Verb::DeleteCollection => ("delete", "deletecollection", list),
            Verb::Get => ("get", "get", &[]),
            Verb::Update => ("put", "put", write),
            Verb::Patch => (
                "patch",
                "patch",
                &["dryRun", "fieldManager", "fieldValidation", "force"],
            ),
            Verb::Delete => ("delete", "delete", &["dryRun", "propagationPolicy"]),
            // A parameter of the others.
            Verb::Watch => continue,
        };
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        let gvk = match place {
            Place::Scale => json!({"group": scale::GROUP, "version": scale::VERSION, "kind": scale::KIND}),
            _ => gvk(kind, version, &kind.kind),
        };
        let operation = json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters, "responses": {"200": {"description": "OK"}}});
        operations.insert(method.to_owned(), operation);
    }
    operations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::builtin;

    #[test]
    fn documents_name_their_kinds() {
        let registry = Registry::new(builtin().to_vec(), Default::default());
        let document = v3(&registry, "", "v1").unwrap();
        let secret = &document["components"]["schemas"]["io.k8s.api.core.v1.Secret"];
        assert_eq!(secret["x-kubernetes-group-version-kind"][0]["kind"], "Secret");
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/secrets/{name}"]["patch"];
        assert!(patch["parameters"].to_string().contains("fieldValidation"));
        assert!(index(&registry)["paths"]["apis/coordination.k8s.io/v1"].is_object());
        assert!(v2(&registry)["definitions"]["io.k8s.api.core.v1.Namespace"].is_object());
        assert_eq!(v3(&registry, "none", "v1"), None);
    }
}
