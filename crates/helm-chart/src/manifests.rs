//! Rendered text as objects, in the order in which Helm applies them. Hooks and notes are not among them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::Error;
use crate::yaml;

/// Says that an object is run at a moment of an installation, not applied.
const HOOK: &str = "/metadata/annotations/helm.sh~1hook";

/// Kinds in the order in which they are applied; kinds that are not here come after them, by name.
const ORDER: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// What a chart renders to.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Objects in the order in which they are applied.
    pub objects: Vec<Object>,
    /// Objects that Helm would run at a moment of the installation, such as a test.
    pub hooks: Vec<Object>,
    /// What the chart tells its user.
    pub notes: Option<String>,
}

/// An object and the template that it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Path of the template.
    pub template: String,
    /// The object.
    pub object: Json,
}

/// Splits rendered templates, by their paths, into objects.
pub(crate) fn objects(rendered: &BTreeMap<String, String>) -> Result<Rendered, Error> {
    let mut found = Rendered {
        objects: Vec::new(),
        hooks: Vec::new(),
        notes: None,
    };
    for (template, text) in rendered {
        if template.ends_with("NOTES.txt") {
            // Those of the charts inside are not shown.
            if template.matches('/').count() == 2 {
                found.notes = Some(text.clone());
            }
            continue;
        }
        let wrong = |line: usize, message: String| Error::Manifest {
            template: template.clone(),
            line,
            message,
        };
        let documents = yaml::documents(text).map_err(|fault| wrong(fault.line, fault.message))?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            let text = |pointer: &str| document.pointer(pointer).and_then(Json::as_str);
            if text("/kind").is_none() || text("/apiVersion").is_none() {
                return Err(wrong(1, "an object has no kind or no apiVersion".to_owned()));
            }
            let is_hook = text(HOOK).is_some();
            let object = Object {
                template: template.clone(),
                object: document,
            };
            if is_hook {
                found.hooks.push(object);
            } else {
                found.objects.push(object);
            }
        }
    }
    found.objects.sort_by(|one, other| {
        let (one_kind, other_kind) = (kind(one), kind(other));
        let by_kind = rank(one_kind).cmp(&rank(other_kind));
        by_kind.then_with(|| one_kind.cmp(other_kind))
    });
    Ok(found)
}

fn kind(object: &Object) -> &str {
    object.object["kind"].as_str().unwrap_or_default()
}

fn rank(kind: &str) -> usize {
    let known = ORDER.iter().position(|known| *known == kind);
    known.unwrap_or(ORDER.len())
}
