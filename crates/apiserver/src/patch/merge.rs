//! Merging an applied configuration into the live state.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::fieldset::Element;
use super::walk::{Shape, field, items, keyed, shape_of};
use crate::schema::Schema;

/// Merges an applied configuration into the live state.
pub(crate) fn merge(schema: Option<&Schema>, live: &Value, config: &Value) -> Value {
    match (shape_of(schema, live), shape_of(schema, config)) {
        (Shape::Map, Shape::Map) => {
            let nothing = Map::new();
            let [a, b] = [live, config].map(|side| side.as_object().unwrap_or(&nothing));
            if a.is_empty() && b.is_empty() {
                return config.clone();
            }
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
        (Shape::List, Shape::List) => {
            let [a, b] = [live, config].map(|side| side.as_array().map_or(&[][..], Vec::as_slice));
            if a.is_empty() && b.is_empty() {
                return config.clone();
            }
            match (keyed(schema, a), keyed(schema, b)) {
                (Some(old), Some(new)) => merge_lists(schema, &old, &new).unwrap_or_else(|| config.clone()),
                _ => config.clone(),
            }
        }
        _ => config.clone(),
    }
}

/// Merges the items of two lists: those of both in the order of the configuration, the others where they were among
/// them. None when the configuration names an item twice.
fn merge_lists(
    schema: Option<&Schema>,
    old: &[(Element, &Value)],
    new: &[(Element, &Value)],
) -> Option<Value> {
    // Items that are there twice are replaced, not merged.
    let mut live: HashMap<&Element, Option<&Value>> = HashMap::new();
    for (element, item) in old {
        live.entry(element)
            .and_modify(|known| *known = None)
            .or_insert(Some(item));
    }
    let config: HashMap<&Element, &Value> = new.iter().map(|(e, v)| (e, *v)).collect();
    if config.len() < new.len() {
        return None;
    }
    let merged = |element: &Element, item: &Value| match live.get(element) {
        Some(Some(known)) => merge(items(schema), known, item),
        _ => item.clone(),
    };
    let mut shared = new.iter().map(|(e, _)| e).filter(|e| live.contains_key(e));
    let mut next_shared = shared.next();
    let mut taken: HashSet<&Element> = HashSet::new();
    let (mut left, mut right) = (old.iter().peekable(), new.iter().peekable());
    let mut out = Vec::with_capacity(old.len().max(new.len()));
    loop {
        if let (Some((element, _)), Some((other, item))) = (left.peek(), right.peek()) {
            if element == other {
                taken.insert(other);
                out.push(merged(other, item));
                left.next();
                right.next();
                next_shared = shared.next();
                continue;
            }
            // A shared item, but not the one whose turn it is.
            if config.contains_key(element) && next_shared.is_some_and(|next| next != element) {
                left.next();
                continue;
            }
        }
        if let Some((element, item)) = left.peek() {
            if !config.contains_key(element) {
                out.push((*item).clone());
                left.next();
                continue;
            }
            if taken.contains(element) {
                left.next();
            }
        }
        let Some((element, item)) = right.next() else {
            if left.peek().is_none() {
                return Some(Value::Array(out));
            }
            continue;
        };
        taken.insert(element);
        out.push(merged(element, item));
        if next_shared == Some(element) {
            next_shared = shared.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::walk::tests::schema;
    use super::*;
    use serde_json::json;

    #[test]
    fn merging_follows_list_types() {
        let live = json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 2}], "s": ["a"], "a": ["r"], "o": {"k": 1}, "t": {"x": 1}});
        let config = json!({"m": [{"n": "q", "v": 3}, {"n": "z"}], "s": ["b", "a"], "a": ["w"], "o": {"l": 1}, "t": {"y": 2}});
        assert_eq!(
            merge(Some(&schema()), &live, &config),
            json!({"m": [{"n": "p", "v": 1}, {"n": "q", "v": 3}, {"n": "z"}], "s": ["b", "a"], "a": ["w"], "o": {"l": 1},
                "t": {"x": 1, "y": 2}})
        );
    }

    #[test]
    fn long_lists_take_no_quadratic_time() {
        let list =
            |from: usize| -> Vec<Value> { (from..from + 40_000).map(|i| i.to_string().into()).collect() };
        let (live, config) = (json!({"s": list(0)}), json!({"s": list(20_000)}));
        let start = std::time::Instant::now();
        let merged = merge(Some(&schema()), &live, &config);
        assert_eq!(merged["s"].as_array().map(Vec::len), Some(60_000));
        compare(Some(&schema()), &live, &merged);
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
    }
}
