//! Label selectors: `a=b,c!=d,e,!f,g in (h,i),j notin (k)`.

use serde_json::Value;

use crate::meta::{Meta, names};
use crate::status::ApiError;

/// A parsed selector; empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl LabelSelector {
    /// Parses the query parameter.
    pub(crate) fn parse(text: &str) -> Result<LabelSelector, ApiError> {
        split_outside_parentheses(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(LabelSelector)
            .map_err(|why| ApiError::bad_request(format!("unable to parse label selector {text:?}: {why}")))
    }

    /// True when it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A label that must have one certain value, and that value, if there is such a requirement.
    pub(crate) fn lookup(&self) -> Option<(&str, &str)> {
        self.0.iter().find_map(|requirement| match requirement {
            Requirement::In(key, values) => match &**values {
                [value] => Some((key.as_str(), value.as_str())),
                _ => None,
            },
            _ => None,
        })
    }

    /// True when the object's labels satisfy every requirement.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = object.meta().and_then(|m| m.get("labels"));
        let get = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => get(key).is_some(),
            Requirement::Absent(key) => get(key).is_none(),
            Requirement::In(key, values) => get(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Requirement::NotIn(key, values) => get(key).is_none_or(|v| values.iter().all(|w| w != v)),
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_u32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some((key, list)) = part.strip_suffix(')').and_then(|p| p.split_once('(')) {
        let values: Vec<String> = list.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = key.split_whitespace();
        let found = match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Requirement::In(known(key)?, values),
            (Some(key), Some("notin"), None) => Requirement::NotIn(known(key)?, values),
            _ => return Err(format!("found '{part}', expected: in, notin")),
        };
        return checked(found);
    }
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(known(key.trim())?));
    }
    let found = if let Some((key, value)) = part.split_once("!=") {
        Requirement::NotIn(known(key.trim())?, vec![value.trim().to_owned()])
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        Requirement::In(known(key.trim())?, vec![value.trim().to_owned()])
    } else {
        Requirement::Exists(known(part)?)
    };
    checked(found)
}

fn known(key: &str) -> Result<String, String> {
    if names::is_qualified(key) {
        Ok(key.to_owned())
    } else {
        Err(format!("invalid label key {key:?}"))
    }
}

fn checked(requirement: Requirement) -> Result<Requirement, String> {
    if let Requirement::In(_, values) | Requirement::NotIn(_, values) = &requirement
        && let Some(bad) = values.iter().find(|v| !names::is_label_value(v))
    {
        return Err(format!("invalid label value {bad:?}"));
    }
    Ok(requirement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selection_table() {
        let object = json!({"metadata": {"labels": {"a": "1", "x.y/b": "two"}}});
        for (text, expected) in [
            ("", true),
            ("a", true),
            ("!a", false),
            ("!c", true),
            ("a=1", true),
            ("a==1", true),
            ("a=2", false),
            ("a!=2", true),
            ("c!=2", true),
            ("a in (1, 2),x.y/b", true),
            ("a notin (1,2)", false),
            ("a=1,x.y/b=three", false),
        ] {
            assert_eq!(
                LabelSelector::parse(text).unwrap().matches(&object),
                expected,
                "{text}"
            );
        }
        for text in ["a b", "a near (1)", "a=b c", "-a", "!"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
