//! What differs between two states of an object, field by field.

use serde_json::{Map, Value};

use super::fieldset::{Element, FieldSet};
use super::walk::{Shape, field, groups, items, shape_of};
use crate::schema::Schema;

/// What differs between two states: fields added or changed, and fields removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) changed: FieldSet,
    pub(crate) removed: FieldSet,
}

/// Compares two states of an object.
pub(crate) fn compare(schema: Option<&Schema>, old: &Value, new: &Value) -> Difference {
    difference(schema, Some(old), Some(new))
}

fn difference(schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let mut found = Difference::default();
    let shapes = [old, new].map(|side| side.map(|value| shape_of(schema, value)));
    let mut as_leaf = false;
    match shapes {
        // A value of another type: everything below the old one goes, everything below the new one comes.
        [Some(before), Some(after)] if before != after => {
            as_leaf |= walk(schema, before, old, new, &mut found);
            as_leaf |= walk(schema, after, old, new, &mut found);
        }
        [Some(shape), _] | [None, Some(shape)] => as_leaf = walk(schema, shape, old, new, &mut found),
        [None, None] => {}
    }
    if !as_leaf {
        found.changed.member |= old.is_none();
        found.removed.member |= new.is_none();
    }
    found
}

/// Compares in one shape; true when the values were taken as a whole.
fn walk(
    schema: Option<&Schema>,
    shape: Shape,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Difference,
) -> bool {
    match shape {
        Shape::Map => {
            let nothing = Map::new();
            let [a, b] = [old, new].map(|side| side.and_then(Value::as_object).unwrap_or(&nothing));
            if !(a.is_empty() && b.is_empty()) {
                for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                    let inner = difference(field(schema, name), a.get(name), b.get(name));
                    note(found, Element::Field(name.clone()), inner);
                }
                return false;
            }
        }
        Shape::List => {
            let count = |side: Option<&Value>| side.and_then(Value::as_array).map_or(0, Vec::len);
            if let (Some(a), Some(b)) = (groups(schema, old), groups(schema, new))
                && count(old) + count(new) > 0
            {
                let none = Vec::new();
                for element in a.keys().chain(b.keys().filter(|e| !a.contains_key(*e))) {
                    let [before, after] = [&a, &b].map(|side| side.get(element).unwrap_or(&none));
                    note(found, element.clone(), items_differ(items(schema), before, after));
                }
                return false;
            }
        }
        Shape::Leaf => {}
    }
    match (old, new) {
        (None, _) => found.changed.member = true,
        (_, None) => found.removed.member = true,
        (old, new) => found.changed.member |= old != new,
    }
    true
}

/// What differs between the items of one element: at most one on each side unless the list holds it twice.
fn items_differ(schema: Option<&Schema>, before: &[&Value], after: &[&Value]) -> Difference {
    let twice = |list: &[&Value]| list.len() > 1;
    match (twice(before), twice(after)) {
        (false, false) => difference(schema, before.first().copied(), after.first().copied()),
        (true, true) => {
            let mut found = Difference::default();
            found.changed.member = before != after;
            found
        }
        (true, false) => {
            let mut found = match after.first() {
                Some(item) => difference(schema, None, Some(item)),
                None => Difference::default(),
            };
            found.removed.member = true;
            found
        }
        (false, true) => {
            let mut found = match before.first() {
                Some(item) => difference(schema, Some(item), None),
                None => Difference::default(),
            };
            found.changed.member = true;
            found
        }
    }
}

fn note(found: &mut Difference, element: Element, inner: Difference) {
    if !inner.changed.is_empty() {
        found
            .changed
            .children
            .entry(element.clone())
            .or_default()
            .add(&inner.changed);
    }
    if !inner.removed.is_empty() {
        found
            .removed
            .children
            .entry(element)
            .or_default()
            .add(&inner.removed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::tests::schema;
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_added_changed_and_removed() {
        let old = json!({"m": [{"n": "p", "v": 1}], "t": {"x": 1}, "a": ["r"]});
        let new = json!({"m": [{"n": "p", "v": 2}, {"n": "q"}], "a": ["r"], "u": 1});
        let found = compare(Some(&schema()), &old, &new);
        assert_eq!(
            found.changed.paths(),
            [".u", ".m[n=\"q\"]", ".m[n=\"p\"].v", ".m[n=\"q\"].n"]
        );
        assert_eq!(found.removed.paths(), [".t", ".t.x"]);
    }

    #[test]
    fn a_value_of_another_type_replaces_what_was_below_it() {
        for (old, new, changed, removed) in [
            (json!({"q": 1}), json!([1]), vec![".u"], vec![".u.q"]),
            (json!([1]), json!({"q": 1}), vec![".u", ".u.q"], vec![]),
            (json!({"q": 1}), json!(null), vec![], vec![".u.q"]),
            (json!({}), json!(null), vec![".u"], vec![]),
            (json!(1), json!({}), vec![".u"], vec![]),
        ] {
            let found = compare(Some(&schema()), &json!({"u": old}), &json!({"u": new}));
            assert_eq!(
                (found.changed.paths(), found.removed.paths()),
                (
                    changed.into_iter().map(str::to_owned).collect(),
                    removed.into_iter().map(str::to_owned).collect()
                ),
                "{old} {new}"
            );
        }
    }
}
