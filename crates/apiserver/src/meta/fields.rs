//! Field selectors: `metadata.name=x,type!=y` on the fields that a kind offers.

use serde_json::Value;

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

    /// True when every term holds; an absent field is the empty text.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|term| (text_at(object, &term.path) == term.value) == term.equal)
    }
}

fn text_at(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
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
        let selector = FieldSelector::parse("metadata.name=n", &[]).unwrap();
        assert_eq!(selector.exact("metadata.name"), Some("n"));
    }
}
