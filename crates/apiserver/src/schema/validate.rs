//! Validation against a schema; every error at once, up to a bound that no person reads to the end.

use std::collections::HashSet;

use serde_json::Value;

use super::{ListType, Rules, Schema, Type, formats, join};
use crate::status::Cause;

/// Causes that are collected at most.
const MOST_CAUSES: usize = 1_000;

/// Causes for refusing `value`; empty when it is valid. `at` is the path of the value ("" for a whole object).
pub(crate) fn validate(schema: &Schema, value: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, value, at, &mut causes);
    causes
}

fn check(schema: &Schema, value: &Value, at: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.nullable || causes.len() >= MOST_CAUSES {
        return;
    }
    if schema.int_or_string {
        if !is_integer(value) && !value.is_string() {
            causes.push(Cause::wrong_type(at, value, "integer,string"));
            return;
        }
    } else if let Some(kind) = schema.kind
        && !has_type(kind, value)
    {
        causes.push(Cause::wrong_type(at, value, type_name(kind)));
        return;
    }
    match value {
        Value::Object(map) => {
            for name in &schema.required {
                if !map.contains_key(name) {
                    causes.push(Cause::required(&join(at, name), ""));
                }
            }
            for (name, value) in map {
                if let Some(field) = schema.field(name) {
                    check(field, value, &join(at, name), causes);
                }
            }
            check_count(schema.rules.entries, map.len(), "properties", value, at, causes);
        }
        Value::Array(list) => check_list(schema, list, value, at, causes),
        Value::String(text) => check_text(&schema.rules, text, value, at, causes),
        Value::Number(number) => check_number(&schema.rules, number.as_f64(), value, at, causes),
        _ => {}
    }
    check_values(&schema.rules, value, at, causes);
}

fn check_list(schema: &Schema, list: &[Value], value: &Value, at: &str, causes: &mut Vec<Cause>) {
    check_count(schema.rules.items, list.len(), "items", value, at, causes);
    let mut seen = HashSet::new();
    let mut seen_keys = HashSet::new();
    for (i, item) in list.iter().enumerate() {
        if causes.len() >= MOST_CAUSES {
            return;
        }
        let path = format!("{at}[{i}]");
        if let Some(items) = &schema.items {
            check(items, item, &path, causes);
        }
        let is_new = match &schema.list {
            ListType::Set => seen.insert(item),
            ListType::Map(keys) => seen_keys.insert(keys_of(schema, keys, item)),
            ListType::Atomic => !schema.rules.unique_items || seen.insert(item),
        };
        if !is_new {
            causes.push(Cause::duplicate(&path, item));
        }
    }
}

/// The values of the keys of a list item; an absent one is its default.
fn keys_of<'v>(schema: &'v Schema, keys: &[String], item: &'v Value) -> Vec<Option<&'v Value>> {
    let default = |key: &str| {
        let field = schema.items.as_ref().and_then(|items| items.field(key));
        field.and_then(|f| f.default.as_ref())
    };
    keys.iter()
        .map(|key| item.get(key).or_else(|| default(key)))
        .collect()
}

fn check_text(rules: &Rules, text: &str, value: &Value, at: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let (Some(least), _) = rules.length
        && length < least
    {
        let text = format!("{at} in body should be at least {least} chars long");
        causes.push(Cause::invalid(at, value, &text));
    }
    if let (_, Some(most)) = rules.length
        && length > most
    {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause {
            reason: "FieldValueTooLong",
            field: at.to_owned(),
            message,
        });
    }
    if let Some(pattern) = &rules.pattern
        && !pattern.matches(text)
    {
        let text = format!("{at} in body should match '{}'", pattern.text);
        causes.push(Cause::invalid(at, value, &text));
    }
    if let Some(format) = &rules.format
        && !formats::holds(format, text)
    {
        let text = format!("{at} in body must be of type {format}: {value}");
        causes.push(Cause::invalid(at, value, &text));
    }
}

fn check_number(rules: &Rules, number: Option<f64>, value: &Value, at: &str, causes: &mut Vec<Cause>) {
    let Some(number) = number else { return };
    if let Some((least, exclusive)) = rules.minimum
        && (number < least || exclusive && number == least)
    {
        let word = if exclusive {
            "greater than"
        } else {
            "greater than or equal to"
        };
        causes.push(Cause::invalid(
            at,
            value,
            &format!("{at} in body should be {word} {least}"),
        ));
    }
    if let Some((most, exclusive)) = rules.maximum
        && (number > most || exclusive && number == most)
    {
        let word = if exclusive {
            "less than"
        } else {
            "less than or equal to"
        };
        causes.push(Cause::invalid(
            at,
            value,
            &format!("{at} in body should be {word} {most}"),
        ));
    }
    if let Some(step) = rules.multiple_of
        && step > 0.0
        && (number / step).fract() != 0.0
    {
        causes.push(Cause::invalid(
            at,
            value,
            &format!("{at} in body should be a multiple of {step}"),
        ));
    }
    let range = match rules.format.as_deref() {
        Some("int32") => f64::from(i32::MIN)..=f64::from(i32::MAX),
        _ => return,
    };
    if !range.contains(&number) {
        causes.push(Cause::invalid(
            at,
            value,
            &format!("{at} in body must be of type int32: {value}"),
        ));
    }
}

fn check_count(
    (least, most): (Option<u64>, Option<u64>),
    count: usize,
    what: &str,
    value: &Value,
    at: &str,
    causes: &mut Vec<Cause>,
) {
    let count = count as u64;
    if let Some(least) = least.filter(|least| count < *least) {
        let text = format!("{at} in body should have at least {least} {what}");
        causes.push(Cause::invalid(at, value, &text));
    }
    if let Some(most) = most.filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} {what}");
        causes.push(Cause {
            reason: "FieldValueTooMany",
            field: at.to_owned(),
            message,
        });
    }
}

fn check_values(rules: &Rules, value: &Value, at: &str, causes: &mut Vec<Cause>) {
    if !rules.one_of_values.is_empty() && !rules.one_of_values.contains(value) {
        causes.push(Cause::unsupported(at, value, &rules.one_of_values));
    }
    for schema in &rules.all_of {
        check(schema, value, at, causes);
    }
    let fits = |schema: &&Schema| validate(schema, value, at).is_empty();
    if !rules.any_of.is_empty() && !rules.any_of.iter().any(|s| fits(&s)) {
        let text = format!("{at} in body must validate at least one schema (anyOf)");
        causes.push(Cause::invalid(at, value, &text));
    }
    if !rules.one_of.is_empty() {
        let fitting = rules.one_of.iter().filter(fits).count();
        if fitting != 1 {
            let text =
                format!("{at} in body must validate one and only one schema (oneOf). Found {fitting} valid");
            causes.push(Cause::invalid(at, value, &text));
        }
    }
    if let Some(not) = &rules.not
        && validate(not, value, at).is_empty()
    {
        let text = format!("{at} in body must not validate the schema (not)");
        causes.push(Cause::invalid(at, value, &text));
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0 && f.abs() < 9e15)
}

fn has_type(kind: Type, value: &Value) -> bool {
    match kind {
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Integer => is_integer(value),
        Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
    }
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Object => "object",
        Type::Array => "array",
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    #[allow(clippy::too_many_lines, reason = "one row for each rule")]
    fn each_rule_has_a_good_and_a_bad_value() {
        let table = [
            (
                json!({"type": "string"}),
                json!("a"),
                json!(1),
                "must be of type string",
            ),
            (
                json!({"type": "integer"}),
                json!(1.0),
                json!(1.5),
                "must be of type integer",
            ),
            (
                json!({"type": "number"}),
                json!(1.5),
                json!("x"),
                "must be of type number",
            ),
            (
                json!({"type": "boolean"}),
                json!(true),
                json!("true"),
                "must be of type boolean",
            ),
            (
                json!({"type": "object"}),
                json!({}),
                json!([]),
                "must be of type object",
            ),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                json!(["a"]),
                json!([1]),
                "must be of type string",
            ),
            (
                json!({"x-kubernetes-int-or-string": true}),
                json!("10%"),
                json!(true),
                "integer,string",
            ),
            (
                json!({"type": "string", "nullable": true}),
                json!(null),
                json!(1),
                "string",
            ),
            (
                json!({"enum": ["a", "b"]}),
                json!("a"),
                json!("c"),
                "supported values: \"a\", \"b\"",
            ),
            (
                json!({"type": "string", "pattern": "^a+$"}),
                json!("aa"),
                json!("b"),
                "should match '^a+$'",
            ),
            (
                json!({"type": "string", "minLength": 2}),
                json!("ab"),
                json!("a"),
                "at least 2 chars",
            ),
            (
                json!({"type": "string", "maxLength": 2}),
                json!("ab"),
                json!("abc"),
                "Too long",
            ),
            (
                json!({"type": "string", "format": "ipv4"}),
                json!("1.2.3.4"),
                json!("1.2"),
                "ipv4",
            ),
            (
                json!({"type": "integer", "minimum": 2}),
                json!(2),
                json!(1),
                "greater than or equal to 2",
            ),
            (
                json!({"type": "integer", "minimum": 2, "exclusiveMinimum": true}),
                json!(3),
                json!(2),
                "greater than 2",
            ),
            (
                json!({"type": "integer", "maximum": 2}),
                json!(2),
                json!(3),
                "less than or equal to 2",
            ),
            (
                json!({"type": "integer", "multipleOf": 2}),
                json!(4),
                json!(3),
                "multiple of 2",
            ),
            (
                json!({"type": "integer", "format": "int32"}),
                json!(1),
                json!(3_000_000_000_u64),
                "int32",
            ),
            (
                json!({"type": "array", "minItems": 1}),
                json!([1]),
                json!([]),
                "at least 1 items",
            ),
            (
                json!({"type": "array", "maxItems": 1}),
                json!([1]),
                json!([1, 2]),
                "at most 1 items",
            ),
            (
                json!({"type": "object", "minProperties": 1}),
                json!({"a": 1}),
                json!({}),
                "at least 1 properties",
            ),
            (
                json!({"type": "object", "required": ["a"]}),
                json!({"a": 1}),
                json!({}),
                "Required value",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "set"}),
                json!([1, 2]),
                json!([1, 1]),
                "Duplicate",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}),
                json!([{"n": 1}, {"n": 2}]),
                json!([{"n": 1}, {"n": 1, "m": 2}]),
                "Duplicate",
            ),
            (
                json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}),
                json!(1),
                json!(3),
                "less than",
            ),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
                json!(1),
                json!(true),
                "anyOf",
            ),
            (
                json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"a": 1}),
                json!({"a": 1, "b": 1}),
                "oneOf",
            ),
            (json!({"not": {"enum": ["x"]}}), json!("y"), json!("x"), "not"),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                json!({"a": "b"}),
                json!({"a": 1}),
                "string",
            ),
        ];
        for (schema, good, bad, text) in table {
            let parsed = Schema::parse(&schema).unwrap();
            assert_eq!(validate(&parsed, &good, "f"), Vec::new(), "{schema}");
            let causes = validate(&parsed, &bad, "f");
            assert!(
                causes.iter().any(|c| c.message.contains(text)),
                "{schema}: {causes:?}"
            );
        }
    }

    #[test]
    fn long_sets_and_map_lists_take_no_quadratic_time() {
        let set = Schema::parse(&json!({"type": "array", "x-kubernetes-list-type": "set"})).unwrap();
        let keys =
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]});
        let map = Schema::parse(&keys).unwrap();
        let start = std::time::Instant::now();
        let mut texts: Vec<Value> = (0..60_000).map(|i| i.to_string().into()).collect();
        let mut items: Vec<Value> = texts.iter().map(|n| json!({"n": n})).collect();
        texts.push("7".into());
        items.push(json!({"n": "7"}));
        for (schema, list) in [(set, texts), (map, items)] {
            let causes = validate(&schema, &Value::Array(list), "f");
            assert_eq!(causes.len(), 1, "{causes:?}");
            assert_eq!(causes[0].field, "f[60000]");
        }
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn causes_are_bounded() {
        let schema = Schema::parse(&json!({"type": "array", "items": {"type": "string"}})).unwrap();
        assert_eq!(
            validate(&schema, &Value::Array(vec![json!(1); 5_000]), "f").len(),
            MOST_CAUSES
        );
    }

    #[test]
    fn bad_schemas_are_named_by_place() {
        for (schema, place) in [
            (
                json!({"properties": {"a": {"type": "int"}}}),
                "properties[a].type",
            ),
            (json!({"type": "string", "pattern": "("}), "pattern"),
            (
                json!({"type": "array", "x-kubernetes-list-type": "map"}),
                "x-kubernetes-list-map-keys",
            ),
        ] {
            let error = Schema::parse_new(&schema).unwrap_err();
            assert!(error.contains(place), "{error}");
        }
    }
}
