//! Keeps the registry of kinds in step with the stored CustomResourceDefinitions, and tells which of the program's
//! own still have to be installed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::error::Error;
use crate::kinds::{Kind, Registry, builtin, definition_kind, fill_names, names_accepted};
use crate::meta::Meta;
use crate::storage::{Key, Storage};

/// Storage key of definitions.
pub(crate) const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The kinds that are served: built in, records, then by definition in name order. What did not change since
/// `previous` is taken over.
pub(crate) fn registry(storage: &Storage, records: &[Arc<Kind>], previous: &Registry) -> Registry {
    let mut kinds = builtin().to_vec();
    kinds.extend(records.iter().cloned());
    let mut defined = HashMap::new();
    for stored in storage.list(RESOURCE, None).objects {
        if !names_accepted(&stored.value) {
            continue;
        }
        let name = stored.value.name().to_owned();
        let known = previous.defined(&name, stored.version);
        match known.map_or_else(|| definition_kind(&stored.value).map(Arc::new), Ok) {
            Ok(kind) => {
                kinds.push(kind.clone());
                defined.insert((name, stored.version), kind);
            }
            Err(reason) => tracing::error!(name, error = reason, "definition is not usable"),
        }
    }
    Registry::new(kinds, defined)
}

/// Storage key of the definition that made a kind.
pub(crate) fn key_of(kind: &Kind) -> Key {
    Key {
        resource: RESOURCE.into(),
        namespace: String::new(),
        name: kind.resource.to_string(),
    }
}

/// The JSON of a definition as the program brings it.
pub(crate) fn as_json<T: serde::Serialize>(definition: &T, name: &str) -> Result<Value, Error> {
    let failed = |e: serde_json::Error| Error::Definition {
        name: name.to_owned(),
        reason: e.to_string(),
    };
    let mut object = serde_json::to_value(definition).map_err(failed)?;
    object["apiVersion"] = "apiextensions.k8s.io/v1".into();
    object["kind"] = "CustomResourceDefinition".into();
    fill_names(&mut object);
    Ok(object)
}

/// True when the definition is stored as it is: nothing to install.
pub(crate) fn is_installed(storage: &Storage, object: &Value) -> bool {
    let key = Key {
        resource: RESOURCE.into(),
        namespace: String::new(),
        name: object.name().to_owned(),
    };
    let maps = ["labels", "annotations"];
    storage.get(&key).is_some_and(|stored| {
        let given = |field: &str| object["metadata"][field].as_object();
        let has = |field: &str, k: &String, v: &Value| stored.value["metadata"][field].get(k) == Some(v);
        stored.value["spec"] == object["spec"]
            && maps
                .iter()
                .all(|f| given(f).is_none_or(|m| m.iter().all(|(k, v)| has(f, k, v))))
    })
}
