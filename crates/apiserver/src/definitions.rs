//! Keeps the registry of kinds in step with the stored CustomResourceDefinitions, and installs those of the program.

use serde_json::Value;

use crate::error::Error;
use crate::kinds::{Kind, Registry, builtin, definition_kind, names_accepted};
use crate::meta::Meta;
use crate::service::Core;

/// Storage key of definitions.
pub(crate) const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The kinds that are served: built in, then by definition in name order.
pub(crate) fn registry(core: &Core, records: &[Kind]) -> Registry {
    let mut kinds = builtin();
    kinds.extend(records.iter().cloned());
    for stored in core.storage.list(RESOURCE, None).objects {
        if !names_accepted(&stored.value) || stored.value.is_terminating() {
            continue;
        }
        match definition_kind(&stored.value) {
            Ok(kind) => kinds.push(kind),
            Err(reason) => {
                tracing::error!(
                    name = stored.value.name(),
                    error = reason,
                    "definition is not usable"
                );
            }
        }
    }
    Registry::new(kinds)
}

/// The JSON of a definition as the program brings it.
pub(crate) fn as_json<T: serde::Serialize>(definition: &T, name: &str) -> Result<Value, Error> {
    serde_json::to_value(definition).map_err(|e| Error::Definition {
        name: name.to_owned(),
        reason: e.to_string(),
    })
}
