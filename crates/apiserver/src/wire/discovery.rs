//! Discovery documents: `/api`, `/apis`, per group and version, and the aggregated form. Pure.

use serde_json::{Value, json};

use crate::endpoint::{self, Place};
use crate::kinds::{Kind, Registry, Version, scale};

/// Places whose verbs discovery lists together, under the plural.
const KIND: [Place; 2] = [Place::Collection, Place::Object];

/// `/api`.
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`.
pub(crate) fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = registry
        .groups()
        .into_iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_object(name, &versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`.
pub(crate) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = registry.groups();
    let versions = groups.get(name).filter(|_| !name.is_empty())?;
    let mut object = group_object(name, versions);
    object["kind"] = "APIGroup".into();
    object["apiVersion"] = "v1".into();
    Some(object)
}

fn group_object(name: &str, versions: &[&str]) -> Value {
    let list: Vec<Value> = versions
        .iter()
        .map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
        .collect();
    json!({"name": name, "versions": list, "preferredVersion": list.first()})
}

fn served<'r>(registry: &'r Registry, group: &str, version: &str) -> Vec<(&'r Kind, &'r Version)> {
    let mut found: Vec<(&Kind, &Version)> = registry
        .kinds()
        .iter()
        .filter(|k| k.group == group)
        .filter_map(|k| {
            k.versions
                .iter()
                .find(|v| v.served && v.name == version)
                .map(|v| (&**k, v))
        })
        .collect();
    found.sort_by(|a, b| a.0.plural.cmp(&b.0.plural));
    found
}

/// `/api/<version>` and `/apis/<group>/<version>`.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let kinds = served(registry, group, version);
    if kinds.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for (kind, v) in &kinds {
        list.push(
            json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": endpoint::names(kind.origin, &KIND), "shortNames": kind.short_names,
            "categories": kind.categories, "storageVersionHash": ""}),
        );
        if v.status {
            list.push(
                json!({"name": format!("{}/status", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "kind": kind.kind,
                "verbs": endpoint::names(kind.origin, &[Place::Status])}),
            );
        }
        if v.scale.is_some() {
            list.push(
                json!({"name": format!("{}/scale", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "group": scale::GROUP, "version": scale::VERSION, "kind": scale::KIND,
                "verbs": endpoint::names(kind.origin, &[Place::Scale])}),
            );
        }
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}),
    )
}

/// `apidiscovery.k8s.io/v2` of the core group or of all others.
pub(crate) fn aggregated(registry: &Registry, core: bool) -> Value {
    let items: Vec<Value> = registry
        .groups()
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let kinds = served(registry, name, version);
                    let resources: Vec<Value> = kinds
                        .iter()
                        .map(|(kind, v)| aggregated_resource(name, version, kind, v))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if name.is_empty() {
                json!({})
            } else {
                json!({"name": name})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(group: &str, version: &str, kind: &Kind, v: &Version) -> Value {
    let response_kind = json!({"group": group, "version": version, "kind": kind.kind});
    let mut resource = json!({"resource": kind.plural, "responseKind": response_kind,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.singular,
        "verbs": endpoint::names(kind.origin, &KIND), "shortNames": kind.short_names, "categories": kind.categories});
    let mut subresources = Vec::new();
    if v.status {
        subresources.push(json!({"subresource": "status", "responseKind": response_kind,
            "verbs": endpoint::names(kind.origin, &[Place::Status])}));
    }
    if v.scale.is_some() {
        let response_kind = json!({"group": scale::GROUP, "version": scale::VERSION, "kind": scale::KIND});
        subresources.push(json!({"subresource": "scale", "responseKind": response_kind,
            "verbs": endpoint::names(kind.origin, &[Place::Scale])}));
    }
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}

/// `/version`: the API level that the server follows, with our own version as the suffix.
pub(crate) fn version() -> Value {
    let own = env!("CARGO_PKG_VERSION");
    json!({"major": "1", "minor": "35", "gitVersion": format!("v1.35.0+gantry-{own}"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none",
        "compiler": "rustc", "platform": "linux/amd64"})
}
