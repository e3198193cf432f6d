//! Structural OpenAPI v3 schemas: what a CustomResourceDefinition may say about its objects.
//!
//! Owns parsing, pruning, defaulting and validation. Pure: JSON in, JSON or causes out. CEL rules
//! (`x-kubernetes-validations`) are published but not evaluated.

mod defaults;
mod formats;
mod prune;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::{Map, Value};

pub(crate) use defaults::apply_defaults;
pub(crate) use prune::prune;
pub(crate) use validate::validate;

/// JSON types as OpenAPI names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What `additionalProperties` says.
#[derive(Debug, Clone, Default)]
pub(crate) enum Additional {
    #[default]
    None,
    Any,
    Of(Box<Schema>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// One node of a schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) kind: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub(crate) preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(crate) embedded: bool,
    pub(crate) properties: BTreeMap<String, Schema>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) required: Vec<String>,
    pub(crate) default: Option<Value>,
    pub(crate) list: ListType,
    /// `x-kubernetes-map-type: atomic`.
    pub(crate) atomic_map: bool,
    pub(crate) rules: Rules,
}

/// Value validations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) one_of_values: Vec<Value>,
    pub(crate) pattern: Option<Arc<Pattern>>,
    pub(crate) format: Option<String>,
    pub(crate) minimum: Option<(f64, bool)>,
    pub(crate) maximum: Option<(f64, bool)>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) length: (Option<u64>, Option<u64>),
    pub(crate) items: (Option<u64>, Option<u64>),
    pub(crate) entries: (Option<u64>, Option<u64>),
    pub(crate) unique_items: bool,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// A `pattern`. Compiled at its first use: most are never used, and compiling all would dominate the start.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        Pattern {
            text: text.to_owned(),
            compiled: OnceLock::new(),
        }
    }

    /// True when the text matches, or when the pattern is unsound, which its definition should have been refused for.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(&self.text).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl Schema {
    /// Reads a schema; the error names the place. Patterns are not looked at.
    pub(crate) fn parse(value: &Value) -> Result<Schema, String> {
        parse(value, "openAPIV3Schema", 0)
    }

    /// Reads a schema that is new to the server: its patterns must be sound too.
    pub(crate) fn parse_new(value: &Value) -> Result<Schema, String> {
        check_patterns(value, "openAPIV3Schema")?;
        Schema::parse(value)
    }

    /// The schema of a field of an object, if one says anything about it.
    pub(crate) fn field(&self, name: &str) -> Option<&Schema> {
        match (self.properties.get(name), &self.additional) {
            (Some(schema), _) => Some(schema),
            (None, Additional::Of(schema)) => Some(schema),
            (None, _) => None,
        }
    }

    /// True when any field may be set here.
    pub(crate) fn is_open(&self) -> bool {
        self.preserve || matches!(self.additional, Additional::Any)
    }
}

const DEEPEST: usize = 100;

/// Looks at every text named `pattern`; a field of that name has an object there, no text.
fn check_patterns(value: &Value, at: &str) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let place = format!("{at}.{key}");
                match (key.as_str(), inner) {
                    ("pattern", Value::String(text)) => {
                        Regex::new(text).map_err(|e| format!("{place}: {e}"))?;
                    }
                    ("default" | "example" | "enum", _) => {}
                    _ => check_patterns(inner, &place)?,
                }
            }
            Ok(())
        }
        Value::Array(list) => list.iter().try_for_each(|inner| check_patterns(inner, at)),
        _ => Ok(()),
    }
}

fn parse(value: &Value, at: &str, depth: usize) -> Result<Schema, String> {
    let map = match value {
        Value::Object(map) => map,
        Value::Bool(true) => {
            return Ok(Schema {
                preserve: true,
                ..Schema::default()
            });
        }
        _ => return Err(format!("{at}: must be an object")),
    };
    if depth > DEEPEST {
        return Err(format!("{at}: nested too deeply"));
    }
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    let child = |key: &str| -> Result<Option<Box<Schema>>, String> {
        let Some(value) = map.get(key) else {
            return Ok(None);
        };
        parse(value, &format!("{at}.{key}"), depth + 1).map(|s| Some(Box::new(s)))
    };
    let mut properties = BTreeMap::new();
    if let Some(list) = map.get("properties").and_then(Value::as_object) {
        for (name, value) in list {
            properties.insert(
                name.clone(),
                parse(value, &format!("{at}.properties[{name}]"), depth + 1)?,
            );
        }
    }
    let additional = match map.get("additionalProperties") {
        None | Some(Value::Bool(false)) => Additional::None,
        Some(Value::Bool(true)) => Additional::Any,
        Some(_) => child("additionalProperties")?.map_or(Additional::None, Additional::Of),
    };
    Ok(Schema {
        kind: kind_of(map, at)?,
        nullable: flag("nullable"),
        int_or_string: flag("x-kubernetes-int-or-string"),
        preserve: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        properties,
        additional,
        items: child("items")?,
        required: strings(map, "required"),
        default: map.get("default").cloned(),
        list: list_type(map, at)?,
        atomic_map: map.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
        rules: rules(map, at, depth)?,
    })
}

fn strings(map: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = map.get(key).and_then(Value::as_array);
    list.map(|l| l.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
        .unwrap_or_default()
}

fn kind_of(map: &Map<String, Value>, at: &str) -> Result<Option<Type>, String> {
    Ok(Some(match map.get("type").and_then(Value::as_str) {
        None | Some("") => return Ok(None),
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        Some(other) => return Err(format!("{at}.type: unsupported type {other:?}")),
    }))
}

fn list_type(map: &Map<String, Value>, at: &str) -> Result<ListType, String> {
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        None | Some("atomic") => Ok(ListType::Atomic),
        Some("set") => Ok(ListType::Set),
        Some("map") => {
            let keys = strings(map, "x-kubernetes-list-map-keys");
            if keys.is_empty() {
                return Err(format!(
                    "{at}.x-kubernetes-list-map-keys: required for list-type map"
                ));
            }
            Ok(ListType::Map(keys))
        }
        Some(other) => Err(format!(
            "{at}.x-kubernetes-list-type: unsupported value {other:?}"
        )),
    }
}

fn rules(map: &Map<String, Value>, at: &str, depth: usize) -> Result<Rules, String> {
    let number = |key: &str| map.get(key).and_then(Value::as_f64);
    let count = |key: &str| map.get(key).and_then(Value::as_u64);
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    let many = |key: &str| -> Result<Vec<Schema>, String> {
        let list = map
            .get(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .enumerate()
            .map(|(i, v)| parse(v, &format!("{at}.{key}[{i}]"), depth + 1))
            .collect()
    };
    let pattern = map
        .get("pattern")
        .and_then(Value::as_str)
        .filter(|p| !p.is_empty());
    let not = match map.get("not") {
        None => None,
        Some(value) => Some(Box::new(parse(value, &format!("{at}.not"), depth + 1)?)),
    };
    Ok(Rules {
        one_of_values: map
            .get("enum")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        pattern: pattern.map(|text| Arc::new(Pattern::new(text))),
        format: map.get("format").and_then(Value::as_str).map(str::to_owned),
        minimum: number("minimum").map(|n| (n, flag("exclusiveMinimum"))),
        maximum: number("maximum").map(|n| (n, flag("exclusiveMaximum"))),
        multiple_of: number("multipleOf"),
        length: (count("minLength"), count("maxLength")),
        items: (count("minItems"), count("maxItems")),
        entries: (count("minProperties"), count("maxProperties")),
        unique_items: flag("uniqueItems"),
        all_of: many("allOf")?,
        any_of: many("anyOf")?,
        one_of: many("oneOf")?,
        not,
    })
}

/// Path of a field for messages: dots for plain names, brackets else.
fn join(at: &str, field: &str) -> String {
    let plain = !field.is_empty()
        && field
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (at.is_empty(), plain) {
        (true, _) => field.to_owned(),
        (false, true) => format!("{at}.{field}"),
        (false, false) => format!("{at}[{field}]"),
    }
}
