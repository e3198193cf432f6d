//! Walks over objects that know list types: shapes, list items, the fields that an object sets, removing fields.
//!
//! The rules are those of structured-merge-diff, the library behind server-side apply: maps are granular unless
//! atomic, lists are atomic unless their schema says `set` or `map`; without a schema maps are granular and lists
//! atomic. A `null` stands for an empty map or list where the other side is one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fieldset::{Element, FieldSet, canonical};
use crate::schema::{ListType, Schema, Type};

/// Schema of the items of a list.
pub(super) fn items(schema: Option<&Schema>) -> Option<&Schema> {
    schema.and_then(|s| s.items.as_deref())
}

pub(super) fn field<'s>(schema: Option<&'s Schema>, name: &str) -> Option<&'s Schema> {
    schema.and_then(|s| s.field(name))
}

fn list_type(schema: Option<&Schema>) -> &ListType {
    schema.map_or(&ListType::Atomic, |s| &s.list)
}

/// How a value takes part in a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Field by field.
    Map,
    /// Item by item.
    List,
    /// As a whole: scalars, atomic maps and lists.
    Leaf,
}

pub(super) fn shape_of(schema: Option<&Schema>, value: &Value) -> Shape {
    let map = if schema.is_some_and(|s| s.atomic_map) {
        Shape::Leaf
    } else {
        Shape::Map
    };
    let list = match list_type(schema) {
        ListType::Atomic => Shape::Leaf,
        _ => Shape::List,
    };
    match value {
        Value::Object(_) => map,
        Value::Array(_) => list,
        Value::Null => match schema.and_then(|s| s.kind) {
            None | Some(Type::Object) => map,
            Some(Type::Array) => list,
            Some(_) => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
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
pub(super) fn keyed<'v>(schema: Option<&Schema>, list: &'v [Value]) -> Option<Vec<(Element, &'v Value)>> {
    if *list_type(schema) == ListType::Atomic {
        return None;
    }
    list.iter()
        .map(|item| element_of(schema, item).map(|e| (e, item)))
        .collect()
}

/// Items of an associative list (none for anything else) by their element; more than one where an element is there
/// twice.
pub(super) fn groups<'v>(
    schema: Option<&Schema>,
    side: Option<&'v Value>,
) -> Option<BTreeMap<Element, Vec<&'v Value>>> {
    let list = side.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut groups: BTreeMap<Element, Vec<&'v Value>> = BTreeMap::new();
    for (element, item) in keyed(schema, list)? {
        groups.entry(element).or_default().push(item);
    }
    Some(groups)
}

/// The fields that `value` sets.
pub(crate) fn fields_of(schema: Option<&Schema>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match value {
        Value::Object(map) if shape_of(schema, value) == Shape::Map => {
            for (name, inner) in map {
                let mut child = fields_of(field(schema, name), inner);
                let declared = schema.is_some_and(|s| s.properties.contains_key(name));
                let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                child.member |= empty || !declared;
                set.children.insert(Element::Field(name.clone()), child);
            }
        }
        Value::Array(_) => match groups(schema, Some(value)) {
            None => set.member = true,
            Some(groups) => {
                for (element, values) in groups {
                    let mut child = match (&element, values.as_slice()) {
                        (Element::Key(_), [item]) => fields_of(items(schema), item),
                        // An item that is there twice is owned as one.
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

/// Removes the members of `gone` from `value`, each with everything below it.
pub(crate) fn remove(schema: Option<&Schema>, value: &mut Value, gone: &FieldSet) {
    let shape = shape_of(schema, value);
    match value {
        Value::Object(map) if shape == Shape::Map => {
            for (element, below) in &gone.children {
                let Element::Field(name) = element else { continue };
                if below.member {
                    map.remove(name);
                } else if let Some(inner) = map.get_mut(name) {
                    remove(field(schema, name), inner, below);
                }
            }
        }
        Value::Array(list) if shape == Shape::List => list.retain_mut(|item| {
            let element = element_of(schema, item);
            match element.and_then(|element| gone.children.get(&element)) {
                Some(below) if below.member => false,
                Some(below) => {
                    remove(items(schema), item, below);
                    true
                }
                None => true,
            }
        }),
        _ => {}
    }
}

/// The set with the declared fields above its members, which are otherwise no members of their own.
pub(crate) fn with_named_fields(schema: Option<&Schema>, set: &FieldSet) -> FieldSet {
    let children = set.children.iter().map(|(element, child)| {
        let inner = match element {
            Element::Field(name) => field(schema, name),
            _ => items(schema),
        };
        let declared = match element {
            Element::Field(name) => schema.is_some_and(|s| s.properties.contains_key(name)),
            _ => false,
        };
        let mut named = with_named_fields(inner, child);
        named.member |= declared && !child.children.is_empty();
        (element.clone(), named)
    });
    FieldSet {
        member: set.member,
        children: children.collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::patch) fn schema() -> Schema {
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
    fn removal_takes_members_with_everything_below_them() {
        let mut value = json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 2}], "t": {"x": 1, "y": 2}, "s": ["a", "b"],
            "o": {"k": 1}});
        let gone = FieldSet::decode(&json!({
            "f:m": {"k:{\"n\":\"p\"}": {".": {}, "f:n": {}}, "k:{\"n\":\"q\"}": {"f:v": {}}},
            "f:t": {"f:x": {}}, "f:s": {"v:\"a\"": {}}, "f:o": {"f:k": {}}
        }));
        remove(Some(&schema()), &mut value, &gone);
        assert_eq!(
            value,
            json!({"m": [{"n": "q"}], "t": {"y": 2}, "s": ["b"], "o": {"k": 1}})
        );
    }

    #[test]
    fn declared_fields_above_a_member_are_named() {
        let set = FieldSet::decode(&json!({"f:t": {"f:x": {}}, "f:u": {"f:y": {}},
            "f:m": {"k:{\"n\":\"p\"}": {"f:v": {}}}}));
        assert_eq!(
            with_named_fields(Some(&schema()), &set).paths(),
            [".m", ".t", ".m[n=\"p\"].v", ".t.x", ".u.y"]
        );
    }
}
