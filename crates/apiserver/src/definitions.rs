//! Keeps the registry of kinds in step with the stored CustomResourceDefinitions, and tells which of the program's
//! own still have to be installed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::error::Error;
use crate::kinds::{
    Conversion, Defined, Kind, Registry, builtin, definition_kind, fill_names, is_established,
};
use crate::meta::Meta;
use crate::storage::{Key, Storage, Stored};

/// Storage key of definitions.
pub(crate) const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What the program brings besides definitions.
#[derive(Debug)]
pub(crate) struct OwnKinds {
    pub(crate) records: Vec<Arc<Kind>>,
    pub(crate) conversions: Vec<Conversion>,
}

/// The kinds that are served: built in, records, then by definition, the oldest first. A kind whose definition says
/// the same as in `previous` is taken over, so that its watches go on.
pub(crate) fn registry(storage: &Storage, own: &OwnKinds, previous: &Registry) -> Registry {
    let mut kinds = builtin().to_vec();
    kinds.extend(own.records.iter().cloned());
    let mut defined = HashMap::new();
    let mut definitions = storage.list(RESOURCE, None).objects;
    definitions.sort_by_key(|definition| definition.created);
    for definition in definitions {
        let name = definition.name().to_owned();
        let known = previous.defined(&name);
        let is_unchanged = known.is_some_and(|known| Arc::ptr_eq(&known.definition, &definition));
        if !is_unchanged && !is_established(&definition.value()) {
            continue;
        }
        let known = known.filter(|known| is_unchanged || says_the_same(&known.definition, &definition));
        match known.map_or_else(
            || converted_kind(&definition.value(), &own.conversions).map(Arc::new),
            |known| Ok(known.kind.clone()),
        ) {
            // Names are accepted before a definition is established, so this takes two requests at once.
            Ok(kind) if kinds.iter().any(|other| clash(other, &kind)) => {
                tracing::error!(name, "the definition names a kind that is served already");
            }
            Ok(kind) => {
                kinds.push(kind.clone());
                defined.insert(name, Defined { definition, kind });
            }
            Err(reason) => tracing::error!(name, error = reason, "definition is not usable"),
        }
    }
    Registry::new(kinds, defined)
}

/// The kind of a definition, with the conversions of its group.
fn converted_kind(definition: &Value, conversions: &[Conversion]) -> Result<Kind, String> {
    let mut kind = definition_kind(definition)?;
    let of_group = conversions.iter().filter(|c| c.group == kind.group);
    kind.conversions = of_group.copied().collect();
    Ok(kind)
}

fn says_the_same(a: &Stored, b: &Stored) -> bool {
    let names = |definition: &Stored| definition.value()["status"]["acceptedNames"].clone();
    a.uid() == b.uid() && a.value()["spec"] == b.value()["spec"] && names(a) == names(b)
}

fn clash(a: &Kind, b: &Kind) -> bool {
    a.group == b.group && (a.kind == b.kind || a.plural == b.plural)
}

/// Storage key of the definition that made a kind.
pub(crate) fn key_of(kind: &Kind) -> Key {
    Key::cluster_scoped(RESOURCE, &kind.resource)
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
    let key = Key::cluster_scoped(RESOURCE, object.name());
    let Some(stored) = storage.get(&key).map(|stored| stored.value()) else {
        return false;
    };
    let given = |field: &str| object["metadata"][field].as_object();
    let has = |field: &str, k: &String, v: &Value| stored["metadata"][field].get(k) == Some(v);
    let has_all = |field: &&str| given(field).is_none_or(|map| map.iter().all(|(k, v)| has(field, k, v)));
    stored["spec"] == object["spec"] && ["labels", "annotations"].iter().all(has_all)
}
