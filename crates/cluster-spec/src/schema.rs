//! A document against the schema of its kind: unknown fields, missing fields and wrong types, all at once, and the JSON
//! that is left.

use serde_json::{Map, Value};

use crate::node::{Node, NodeKind, Place};
use crate::scalar;

/// What was found in one document.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Path, place, message, next step.
    pub(crate) faults: Vec<(String, Place, String, String)>,
    /// Places of all fields by path.
    pub(crate) places: Vec<(String, Place)>,
}

impl Walk {
    fn fault(&mut self, path: &str, place: Place, message: String, next_step: impl Into<String>) {
        self.faults
            .push((path.to_owned(), place, message, next_step.into()));
    }

    /// Walks a node; `None` when nothing usable is left of it.
    pub(crate) fn node(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        self.places.push((path.to_owned(), node.place));
        let wanted = schema.get("type").and_then(Value::as_str);
        match (wanted, &node.kind) {
            (Some("object"), NodeKind::Map(entries)) => Some(self.object(node, entries, schema, path)),
            (Some("array"), NodeKind::List(items)) => {
                let item_schema = schema.get("items").unwrap_or(&Value::Null);
                let items = items.iter().enumerate();
                Some(
                    items
                        .filter_map(|(at, item)| self.node(item, item_schema, &format!("{path}[{at}]")))
                        .collect(),
                )
            }
            (None, _) => Some(node.json()),
            _ if node.is_null() => None,
            (Some(wanted), NodeKind::Scalar { text, plain }) => {
                self.scalar(node, wanted, (text, *plain), schema, path)
            }
            (Some(wanted), _) => {
                self.wrong_type(node, wanted, path);
                None
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str, path: &str) {
        let found = node.json();
        let next_step = match (wanted, &found) {
            ("array", _) => "write a list: each item after a '-'",
            ("object", _) => "write a mapping: key and value with a ':' between",
            ("integer" | "number", Value::String(_)) => "write it as a number, without quotes",
            ("boolean", _) => "write true or false, without quotes",
            _ => "write a value of that type",
        };
        let wanted = match wanted {
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a mapping",
            _ => "a string",
        };
        let found = scalar::type_name(&found);
        self.fault(
            path,
            node.place,
            format!("{wanted} is wanted, this is {found}"),
            next_step,
        );
    }

    fn scalar(
        &mut self,
        node: &Node,
        wanted: &str,
        (text, plain): (&str, bool),
        schema: &Value,
        path: &str,
    ) -> Option<Value> {
        let value = if plain {
            scalar::resolve(text)
        } else {
            Value::String(text.to_owned())
        };
        let value = match (wanted, value) {
            // As it is written: an unquoted 1.30 is the version 1.30, and not the number 1.3.
            ("string", Value::Number(_) | Value::Bool(_)) => Value::String(text.to_owned()),
            ("string", value @ Value::String(_))
            | ("boolean", value @ Value::Bool(_))
            | ("number", value @ Value::Number(_)) => value,
            ("integer", value @ Value::Number(_)) if value.is_i64() => value,
            _ => {
                self.wrong_type(node, wanted, path);
                return None;
            }
        };
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.contains(&value)
        {
            let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            self.fault(
                path,
                node.place,
                format!("{text:?} is not known here"),
                format!("write one of {}", allowed.join(", ")),
            );
            return None;
        }
        Some(value)
    }

    fn object(
        &mut self,
        node: &Node,
        entries: &[(String, Place, Node)],
        schema: &Value,
        path: &str,
    ) -> Value {
        let fields = schema.get("properties").and_then(Value::as_object);
        let open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        let values = schema
            .get("additionalProperties")
            .filter(|values| values.is_object());
        let mut object = Map::new();
        for (key, place, value) in entries {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let known = fields.and_then(|fields| fields.get(key)).or(values);
            let value = match known {
                Some(schema) => self.node(value, schema, &path),
                None if open => {
                    self.places.push((path, value.place));
                    Some(value.json())
                }
                None => {
                    let next_step = suggestion(key, fields);
                    self.fault(&path, *place, format!("unknown field {key:?}"), next_step);
                    None
                }
            };
            if let Some(value) = value {
                object.insert(key.clone(), value);
            }
        }
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !entries
                .iter()
                .any(|(key, _, value)| key == name && !value.is_null())
            {
                let path = if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}.{name}")
                };
                self.fault(&path, node.place, format!("{name} is missing"), "add it");
            }
        }
        Value::Object(object)
    }
}

/// The nearest known name, else the names there are.
fn suggestion(key: &str, fields: Option<&Map<String, Value>>) -> String {
    let names: Vec<&String> = fields.into_iter().flat_map(Map::keys).collect();
    let nearest = names
        .iter()
        .map(|name| (distance(&key.to_lowercase(), &name.to_lowercase()), name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 2.max(key.len() / 4) => format!("did you mean {name}?"),
        _ if names.is_empty() => "remove it".to_owned(),
        _ => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!("remove it; the fields here are {}", names.join(", "))
        }
    }
}

/// Edit distance (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, left) in a.chars().enumerate() {
        let mut next = vec![at + 1];
        for (column, right) in b.iter().enumerate() {
            let change = row[column] + usize::from(left != *right);
            next.push(change.min(row[column + 1] + 1).min(next[column] + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
