//! The objects beside the one that is written.

use apiserver::AdmissionRequest;
use serde::Deserialize;
use serde_json::Value;

pub(super) const CLUSTERS: &str = "clusters.anywhere.eks.amazonaws.com";

/// Those of a resource in the namespace of the write.
pub(super) fn stored<K: for<'de> Deserialize<'de>>(request: &AdmissionRequest<'_>, resource: &str) -> Vec<K> {
    parsed(request.objects.list(resource, request.namespace))
}

/// Those that fit their kind.
pub(super) fn parsed<K: for<'de> Deserialize<'de>>(objects: Vec<Value>) -> Vec<K> {
    objects
        .into_iter()
        .filter_map(|object| K::deserialize(object).ok())
        .collect()
}
