//! The configuration file: flat YAML, `key: value`. An unknown key is refused with its line.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_saphyr::Spanned;

use super::table::KEYS;
use super::{Fault, Given};

pub(super) fn parse(text: &str, name: &str) -> Result<BTreeMap<&'static str, Given>, Fault> {
    let lines: Option<BTreeMap<String, Spanned<Value>>> =
        serde_saphyr::from_str(text).map_err(|error| Fault(vec![format!("{name}: {error}")]))?;
    let mut values = BTreeMap::new();
    let mut faults = Vec::new();
    for (key, spanned) in lines.unwrap_or_default() {
        let place = format!("{name}:{}", spanned.referenced.line());
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            faults.push(format!("{place}: unknown key `{key}`{}", suggestion(&key)));
            continue;
        };
        match plain(&spanned.value) {
            Some(value) => drop(values.insert(known.name, Given { value, place })),
            None => faults.push(format!("{place}: `{key}` must be one value ({})", known.value)),
        }
    }
    if faults.is_empty() {
        Ok(values)
    } else {
        Err(Fault(faults))
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// The known key that differs only in spelling, else all of them.
fn suggestion(key: &str) -> String {
    let bare = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    match KEYS.iter().find(|known| bare(known.name) == bare(key)) {
        Some(known) => format!("; did you mean `{}`?", known.name),
        None => {
            let names: Vec<&str> = KEYS.iter().map(|known| known.name).collect();
            format!("; known are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let values = parse("# a comment\nsite: lab\n\nhttpPort: 80 # inline\n", "f.yaml").unwrap();
        assert_eq!(
            values["site"],
            Given {
                value: "lab".into(),
                place: "f.yaml:2".into()
            }
        );
        assert_eq!(
            values["httpPort"],
            Given {
                value: "80".into(),
                place: "f.yaml:4".into()
            }
        );
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(parse("", "f").unwrap(), BTreeMap::new());
        assert_eq!(parse("# only\n", "f").unwrap(), BTreeMap::new());
    }

    #[test]
    fn unknown_keys_are_refused_with_line_and_advice() {
        let text = parse("site: a\nhttp-port: 80\ncolour: red\n", "f.yaml")
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("f.yaml:2: unknown key `http-port`; did you mean `httpPort`?"),
            "{text}"
        );
        assert!(
            text.contains("f.yaml:3: unknown key `colour`; known are data,"),
            "{text}"
        );
    }

    #[test]
    fn lists_and_doubled_keys_are_refused() {
        assert!(parse("site: [a]\n", "f").is_err());
        assert!(parse("site: a\nsite: b\n", "f").is_err());
    }
}
