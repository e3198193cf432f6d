//! Walks over objects that know list types: which fields an object sets, what differs, merging, removing.
//!
//! After the structured-merge-diff rules of the Kubernetes API: maps are granular unless atomic, lists are atomic
//! unless their schema says `set` or `map`; without a schema maps are granular and lists atomic.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fieldset::{Element, FieldSet, canonical};
use crate::schema::{ListType, Schema};

/// Schema of the items of a list.
fn items(schema: Option<&Schema>) -> Option<&Schema> {
    schema.and_then(|s| s.items.as_deref())
}

fn field<'s>(schema: Option<&'s Schema>, name: &str) -> Option<&'s Schema> {
    schema.and_then(|s| s.field(name))
}

fn list_type(schema: Option<&Schema>) -> &ListType {
    schema.map_or(&ListType::Atomic, |s| &s.list)
}

fn is_atomic_map(schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| s.atomic_map)
}

/// The path element of a list item; none when the list is atomic or a key is missing.
fn element_of(schema: Option<&Schema>, item: &Value) -> Option<Element> {
    match list_type(schema) {
        ListType::Atomic => None,
        ListType::Set => Some(Element::Value(item.to_string())),
        ListType::Map(keys) => {
            let default = |key: &str| field(items(schema), key).and_then(|f| f.default.as_ref());
            let mut found = BTreeMap::new();
            for key in keys {
                if let Some(value) = item.get(key).or_else(|| default(key)) {
                    found.insert(key.clone(), value.clone());
                }
            }
            (!found.is_empty()).then(|| Element::Key(canonical(found)))
        }
    }
}

/// Items of an associative list by their element; none when the list has to be taken as a whole.
fn keyed<'v>(schema: Option<&Schema>, list: &'v [Value]) -> Option<Vec<(Element, &'v Value)>> {
    if *list_type(schema) == ListType::Atomic {
        return None;
    }
    list.iter()
        .map(|item| element_of(schema, item).map(|e| (e, item)))
        .collect()
}

/// The fields that `value` sets.
pub(crate) fn fields_of(schema: Option<&Schema>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match value {
        Value::Object(map) if !is_atomic_map(schema) => {
            for (name, inner) in map {
                let mut child = fields_of(field(schema, name), inner);
                let declared = schema.is_some_and(|s| s.properties.contains_key(name));
                let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                child.member |= empty || !declared;
                set.children.insert(Element::Field(name.clone()), child);
            }
        }
        Value::Array(list) => match keyed(schema, list) {
            None => set.member = true,
            Some(pairs) => {
                for (element, item) in pairs {
                    let mut child = match element {
                        Element::Key(_) => fields_of(items(schema), item),
                        _ => FieldSet::default(),
                    };
                    child.member = true;
                    set.children.insert(element, child);
                }
            }
        },
        _ => set.member = true,
    }
    set
}

/// What differs between two states: fields added or changed, and fields removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) changed: FieldSet,
    pub(crate) removed: FieldSet,
}

/// Compares two states of an object.
pub(crate) fn compare(schema: Option<&Schema>, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if !is_atomic_map(schema) => {
            for (name, new) in b {
                let element = Element::Field(name.clone());
                note(
                    &mut difference,
                    element,
                    field(schema, name),
                    a.get(name),
                    Some(new),
                );
            }
            for (name, old) in a.iter().filter(|(name, _)| !b.contains_key(*name)) {
                note(
                    &mut difference,
                    Element::Field(name.clone()),
                    field(schema, name),
                    Some(old),
                    None,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) => match (keyed(schema, a), keyed(schema, b)) {
            (Some(a), Some(b)) => {
                let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    (a.into_iter().collect(), b.into_iter().collect());
                for (element, new) in &b {
                    note(
                        &mut difference,
                        element.clone(),
                        items(schema),
                        a.get(element).copied(),
                        Some(new),
                    );
                }
                for (element, old) in a.iter().filter(|(element, _)| !b.contains_key(element)) {
                    note(&mut difference, element.clone(), items(schema), Some(old), None);
                }
            }
            _ => difference.changed.member = a != b,
        },
        _ => difference.changed.member = old != new,
    }
    difference
}

fn note(
    difference: &mut Difference,
    element: Element,
    schema: Option<&Schema>,
    old: Option<&Value>,
    new: Option<&Value>,
) {
    let (changed, removed) = match (old, new) {
        (Some(old), Some(new)) => {
            let inner = compare(schema, old, new);
            (inner.changed, inner.removed)
        }
        (None, Some(new)) => (all_below(schema, new), FieldSet::default()),
        (Some(old), None) => (FieldSet::default(), all_below(schema, old)),
        (None, None) => return,
    };
    if !changed.is_empty() {
        difference.changed.children.insert(element.clone(), changed);
    }
    if !removed.is_empty() {
        difference.removed.children.insert(element, removed);
    }
}

/// The field itself and every field below it.
fn all_below(schema: Option<&Schema>, value: &Value) -> FieldSet {
    let mut set = fields_of(schema, value);
    mark(&mut set);
    set
}

fn mark(set: &mut FieldSet) {
    set.member = true;
    set.children.values_mut().for_each(mark);
}

/// Merges an applied configuration into the live state.
pub(crate) fn merge(schema: Option<&Schema>, live: &Value, config: &Value) -> Value {
    match (live, config) {
        (Value::Object(a), Value::Object(b)) if !is_atomic_map(schema) => {
            let mut merged = a.clone();
            for (name, new) in b {
                let value = match a.get(name) {
                    Some(old) => merge(field(schema, name), old, new),
                    None => new.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(a), Value::Array(b)) => match (keyed(schema, a), keyed(schema, b)) {
            (Some(old), Some(new)) => merge_lists(schema, old, new),
            _ => config.clone(),
        },
        _ => config.clone(),
    }
}

fn merge_lists(schema: Option<&Schema>, old: Vec<(Element, &Value)>, new: Vec<(Element, &Value)>) -> Value {
    let wanted: BTreeMap<&Element, &Value> = new.iter().map(|(e, v)| (e, *v)).collect();
    let known: Vec<&Element> = old.iter().map(|(e, _)| e).collect();
    let mut merged: Vec<Value> = old
        .iter()
        .map(|(element, live)| match wanted.get(element) {
            Some(config) => merge(items(schema), live, config),
            None => (*live).clone(),
        })
        .collect();
    merged.extend(
        new.iter()
            .filter(|(e, _)| !known.contains(&e))
            .map(|(_, v)| (*v).clone()),
    );
    Value::Array(merged)
}

/// Removes the fields of `gone` from `value`, but nothing that `kept` holds at or below it.
pub(crate) fn remove(schema: Option<&Schema>, value: &mut Value, gone: &FieldSet, kept: &FieldSet) {
    let nothing = FieldSet::default();
    match value {
        Value::Object(map) if !is_atomic_map(schema) => {
            for (element, below) in &gone.children {
                let Element::Field(name) = element else { continue };
                let kept = kept.children.get(element).unwrap_or(&nothing);
                let Some(inner) = map.get_mut(name) else { continue };
                remove(field(schema, name), inner, below, kept);
                if kept.is_empty() && (below.member || is_hollow(inner)) {
                    map.remove(name);
                }
            }
        }
        Value::Array(list) => {
            let elements: Vec<Option<Element>> = list.iter().map(|item| element_of(schema, item)).collect();
            let mut elements = elements.into_iter();
            list.retain_mut(|item| {
                let Some(element) = elements.next().flatten() else {
                    return true;
                };
                let Some(below) = gone.children.get(&element) else {
                    return true;
                };
                let kept = kept.children.get(&element).unwrap_or(&nothing);
                remove(items(schema), item, below, kept);
                !(below.member && kept.is_empty())
            });
        }
        _ => {}
    }
}

/// A container that lost its last entry goes with it.
fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {
            "m": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}}}},
            "s": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "a": {"type": "array", "items": {"type": "string"}},
            "o": {"type": "object", "x-kubernetes-map-type": "atomic"},
            "t": {"type": "object", "properties": {"x": {"type": "integer"}}}
        }}))
        .unwrap()
    }

    #[test]
    fn fields_follow_list_types() {
        let value = json!({"m": [{"n": "p", "v": 1}], "s": ["q"], "a": ["r"], "o": {"k": 1}, "t": {"x": 1}, "u": {"y": {"z": 1}}});
        assert_eq!(
            fields_of(Some(&schema()), &value).encode(),
            json!({"f:a": {}, "f:m": {"k:{\"n\":\"p\"}": {".": {}, "f:n": {}, "f:v": {}}}, "f:o": {}, "f:s": {"v:\"q\"": {}},
                "f:t": {"f:x": {}}, "f:u": {".": {}, "f:y": {".": {}, "f:z": {}}}})
        );
    }

    #[test]
    fn merging_follows_list_types() {
        let live = json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 2}], "s": ["a"], "a": ["r"], "o": {"k": 1}, "t": {"x": 1}});
        let config = json!({"m": [{"n": "q", "v": 3}, {"n": "z"}], "s": ["b", "a"], "a": ["w"], "o": {"l": 1}, "t": {"y": 2}});
        assert_eq!(
            merge(Some(&schema()), &live, &config),
            json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 3}, {"n": "z"}], "s": ["a", "b"], "a": ["w"], "o": {"l": 1},
                "t": {"x": 1, "y": 2}})
        );
    }

    #[test]
    fn differences_name_added_changed_and_removed() {
        let old = json!({"m": [{"n": "p", "v": 1}], "t": {"x": 1}, "a": ["r"]});
        let new = json!({"m": [{"n": "p", "v": 2}, {"n": "q"}], "a": ["r"], "u": 1});
        let found = compare(Some(&schema()), &old, &new);
        assert_eq!(
            found.changed.paths(),
            [".m[n=\"p\"].v", ".m[n=\"q\"]", ".m[n=\"q\"].n", ".u"]
        );
        assert_eq!(found.removed.paths(), [".t", ".t.x"]);
    }

    #[test]
    fn removal_spares_what_others_hold() {
        let mut value =
            json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 2}], "t": {"x": 1, "y": 2}, "s": ["a", "b"]});
        let gone = fields_of(
            Some(&schema()),
            &json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 2}], "t": {"x": 1}, "s": ["a"]}),
        );
        let kept = FieldSet::decode(&json!({"f:m": {"k:{\"n\":\"q\"}": {"f:v": {}}}}));
        remove(Some(&schema()), &mut value, &gone, &kept);
        assert_eq!(value, json!({"m": [{"v": 2}], "t": {"y": 2}, "s": ["b"]}));
    }
}
