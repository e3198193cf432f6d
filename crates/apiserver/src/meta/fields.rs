//! Field selectors: `metadata.name=x,type!=y` on the fields that a kind offers.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::status::ApiError;

/// A parsed selector; empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Parses the query parameter; `offered` are the paths beyond `metadata.name` and `metadata.namespace`.
    pub(crate) fn parse(text: &str, offered: &[&str]) -> Result<FieldSelector, ApiError> {
        let mut terms = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, value, true)
            } else {
                return Err(ApiError::bad_request(format!("invalid field selector: {part:?}")));
            };
            if !matches!(path, "metadata.name" | "metadata.namespace") && !offered.contains(&path) {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {path}"
                )));
            }
            terms.push(Term {
                path: path.to_owned(),
                value: value.to_owned(),
                equal,
            });
        }
        Ok(FieldSelector(terms))
    }

    /// True when it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when it asks for names and namespaces only.
    pub(crate) fn is_of_names(&self) -> bool {
        let names = ["metadata.name", "metadata.namespace"];
        self.0.iter().all(|term| names.contains(&term.path.as_str()))
    }

    /// The value that a path must equal, if there is one: lets a caller look up instead of scan.
    pub(crate) fn exact(&self, path: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|t| t.equal && t.path == path)
            .map(|t| t.value.as_str())
    }

    /// A path beyond the names that must equal a value, and that value, if there is such a term: the path of an index.
    pub(crate) fn lookup(&self) -> Option<(&str, &str)> {
        let names = ["metadata.name", "metadata.namespace"];
        let found = self
            .0
            .iter()
            .find(|t| t.equal && !t.value.is_empty() && !names.contains(&t.path.as_str()));
        found.map(|t| (t.path.as_str(), t.value.as_str()))
    }

    /// True when every term holds; an absent field is the empty text.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|term| (text_at(object, &term.path) == term.value) == term.equal)
    }
}

fn text_at(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, key| value.get(key));
    found.map(text_of).unwrap_or_default()
}

/// The text of a field in the JSON of an object, of which nothing else is decoded.
pub(crate) fn text_in(json: &[u8], path: &str) -> String {
    let found = || -> Option<Value> {
        let mut at: &RawValue = serde_json::from_slice(json).ok()?;
        for key in path.split('.') {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(at.get()).ok()?;
            at = members.get(key).copied()?;
        }
        serde_json::from_str(at.get()).ok()
    };
    found().as_ref().map(text_of).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selection_table() {
        let object = json!({"metadata": {"name": "n"}, "type": "Opaque"});
        for (text, expected) in [
            ("", true),
            ("metadata.name=n", true),
            ("metadata.name==m", false),
            ("type!=Opaque", false),
        ] {
            assert_eq!(
                FieldSelector::parse(text, &["type"]).unwrap().matches(&object),
                expected,
                "{text}"
            );
        }
        assert!(FieldSelector::parse("type=x", &[]).is_err());
        assert!(FieldSelector::parse("metadata.name", &[]).is_err());
        let json = json!({"spec": {"a.b": 1, "bmc": "x \"y\"", "port": 6443, "on": true, "none": null, "deep": {"er": "z"}}});
        for path in [
            "spec.bmc",
            "spec.port",
            "spec.on",
            "spec.none",
            "spec.deep.er",
            "spec.gone",
            "spec.bmc.x",
            "gone",
        ] {
            assert_eq!(
                text_in(json.to_string().as_bytes(), path),
                text_at(&json, path),
                "{path}"
            );
        }
        let selector = FieldSelector::parse("metadata.name=n", &[]).unwrap();
        assert_eq!(selector.lookup(), None);
        assert_eq!(selector.exact("metadata.name"), Some("n"));
    }
}
