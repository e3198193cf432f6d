//! Sets of field paths and their `fieldsV1` form (`f:name`, `k:{...}`, `v:...`, `.`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One step of a field path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Element {
    /// A field of a map.
    Field(String),
    /// An item of a map-list, by the JSON of its keys.
    Key(String),
    /// An item of a set, by its JSON.
    Value(String),
    /// An item by position.
    Index(u64),
}

impl Element {
    fn encode(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Key(json) => format!("k:{json}"),
            Element::Value(json) => format!("v:{json}"),
            Element::Index(i) => format!("i:{i}"),
        }
    }

    fn decode(text: &str) -> Option<Element> {
        let (tag, rest) = text.split_once(':')?;
        match tag {
            "f" => Some(Element::Field(rest.to_owned())),
            // Parsed and written again, so that equal keys are equal texts.
            "k" => Some(Element::Key(
                serde_json::from_str::<BTreeMap<String, Value>>(rest)
                    .ok()
                    .map(canonical)?,
            )),
            "v" => Some(Element::Value(
                serde_json::from_str::<Value>(rest).ok()?.to_string(),
            )),
            "i" => rest.parse().ok().map(Element::Index),
            _ => None,
        }
    }

    /// As error messages show it.
    fn show(&self) -> String {
        match self {
            Element::Field(name) => format!(".{name}"),
            Element::Key(json) => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(json).unwrap_or_default();
                let list: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", list.join(","))
            }
            Element::Value(json) => format!("[={json}]"),
            Element::Index(i) => format!("[{i}]"),
        }
    }
}

/// JSON of list keys in a fixed order.
pub(crate) fn canonical(keys: BTreeMap<String, Value>) -> String {
    let list: Vec<String> = keys
        .iter()
        .map(|(k, v)| format!("{}:{v}", Value::from(k.as_str())))
        .collect();
    format!("{{{}}}", list.join(","))
}

/// A set of field paths as a trie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The path that ends here is in the set.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    /// A set of top-level paths such as `["metadata", "name"]`.
    pub(crate) fn of_paths(paths: &[&[&str]]) -> FieldSet {
        let mut set = FieldSet::default();
        for path in paths {
            let mut node = &mut set;
            for name in *path {
                node = node
                    .children
                    .entry(Element::Field((*name).to_owned()))
                    .or_default();
            }
            node.member = true;
        }
        set
    }

    /// No path at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(FieldSet::is_empty)
    }

    /// Paths in either.
    pub(crate) fn union(mut self, other: &FieldSet) -> FieldSet {
        self.add(other);
        self
    }

    /// Adds the paths of `other`.
    pub(crate) fn add(&mut self, other: &FieldSet) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().add(child);
        }
    }

    /// Paths in both.
    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let children = self.children.iter().filter_map(|(element, child)| {
            let common = child.intersection(other.children.get(element)?);
            (!common.is_empty()).then(|| (element.clone(), common))
        });
        FieldSet {
            member: self.member && other.member,
            children: children.collect(),
        }
    }

    /// Paths that are not in `other`.
    pub(crate) fn minus(&self, other: &FieldSet) -> FieldSet {
        let children = self.children.iter().filter_map(|(element, child)| {
            let rest = match other.children.get(element) {
                Some(taken) => child.minus(taken),
                None => child.clone(),
            };
            (!rest.is_empty()).then(|| (element.clone(), rest))
        });
        FieldSet {
            member: self.member && !other.member,
            children: children.collect(),
        }
    }

    /// Only what is at and below the top-level field `name`.
    pub(crate) fn only_field(mut self, name: &str) -> FieldSet {
        self.children
            .retain(|element, _| matches!(element, Element::Field(field) if field == name));
        self.member = false;
        self
    }

    /// What is neither at nor below the top-level field `name`.
    pub(crate) fn without_field(mut self, name: &str) -> FieldSet {
        self.children
            .retain(|element, _| !matches!(element, Element::Field(field) if field == name));
        self
    }

    /// Every path as error messages show it.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    /// The fields of one level first, then what is below each of them.
    fn collect(&self, at: &str, paths: &mut Vec<String>) {
        let below: Vec<(String, &FieldSet)> = self
            .children
            .iter()
            .map(|(element, child)| (format!("{at}{}", element.show()), child))
            .collect();
        paths.extend(
            below
                .iter()
                .filter(|(_, child)| child.member)
                .map(|(path, _)| path.clone()),
        );
        for (path, child) in below {
            child.collect(&path, paths);
        }
    }

    /// `fieldsV1`.
    pub(crate) fn encode(&self) -> Value {
        let mut map = Map::new();
        for (element, child) in &self.children {
            if child.is_empty() {
                continue;
            }
            let mut inner = child.encode();
            if child.member
                && let Value::Object(inner) = &mut inner
                && !inner.is_empty()
            {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.encode(), inner);
        }
        Value::Object(map)
    }

    /// From `fieldsV1`; steps that cannot be read are skipped.
    pub(crate) fn decode(value: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        let Some(map) = value.as_object() else { return set };
        for (text, inner) in map {
            let Some(element) = Element::decode(text) else {
                continue;
            };
            let mut child = FieldSet::decode(inner);
            let entries = inner.as_object();
            child.member = entries.is_none_or(|m| m.is_empty() || m.contains_key("."));
            set.children.insert(element, child);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> FieldSet {
        FieldSet::decode(&value)
    }

    #[test]
    fn encoding_round_trips() {
        let value = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:l": {"k:{\"name\":\"x\"}": {".": {}, "f:v": {}}, "v:1": {}, "i:0": {}}}});
        assert_eq!(set(value.clone()).encode(), value);
        assert_eq!(
            set(value).paths(),
            [
                ".metadata.labels",
                ".metadata.labels.a",
                ".spec.l[name=\"x\"]",
                ".spec.l[=1]",
                ".spec.l[0]",
                ".spec.l[name=\"x\"].v"
            ]
        );
    }

    #[test]
    fn set_algebra() {
        let a = set(json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}}));
        let b = set(json!({"f:b": {"f:c": {}, "f:d": {}}}));
        assert_eq!(a.intersection(&b), set(json!({"f:b": {"f:c": {}}})));
        assert_eq!(a.minus(&b).paths(), [".a", ".b"]);
        assert_eq!(a.clone().union(&b).paths(), [".a", ".b", ".b.c", ".b.d"]);
        assert_eq!(a.only_field("a").paths(), [".a"]);
    }
}
