//! Fields of documents as BMCs write them: absent, null, of another type, or numbers as text. What cannot be read is absent.

use resources::bmc::{Health, Part, bmc_text};
use serde_json::Value;

pub(super) fn text(document: &Value, key: &str) -> Option<String> {
    bmc_text(document.get(key)?.as_str()?)
}

pub(super) fn number(document: &Value, key: &str) -> Option<f64> {
    let value = document.get(key)?;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// The reference in a property of this name.
pub(super) fn link<'a>(document: &'a Value, key: &str) -> Option<&'a str> {
    document.get(key)?.get("@odata.id")?.as_str()
}

/// The references in a list of this name.
pub(super) fn links<'a>(document: &'a Value, key: &str) -> Vec<&'a str> {
    let own = |item: &'a Value| item.get("@odata.id")?.as_str();
    list(document, key).iter().filter_map(own).collect()
}

pub(super) fn list<'a>(document: &'a Value, key: &str) -> &'a [Value] {
    let items = document.get(key).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

/// `Status.Health` of a resource.
pub(super) fn health(document: &Value) -> Health {
    let status = document.get("Status");
    let word = status
        .and_then(|status| status.get("Health"))
        .and_then(Value::as_str);
    severity(word)
}

/// A Redfish `Health` or log severity.
pub(super) fn severity(word: Option<&str>) -> Health {
    match word {
        Some("OK") => Health::Ok,
        Some("Warning") => Health::Warning,
        Some("Critical") => Health::Critical,
        _ => Health::Unknown,
    }
}

/// Whether the part that a document is about is not there.
pub(super) fn is_absent(document: &Value) -> bool {
    document.pointer("/Status/State").and_then(Value::as_str) == Some("Absent")
}

/// What a document says of the part that it is about.
pub(super) fn part(name: String, document: &Value) -> Part {
    Part {
        name,
        manufacturer: text(document, "Manufacturer"),
        model: text(document, "Model"),
        serial: text(document, "SerialNumber"),
        part_number: text(document, "PartNumber"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_bmcs_write() {
        let document = json!({"A": 1, "B": "2.5", "C": "N/A", "D": null, "E": [], "F": " x ", "Status": {"Health": "OK"},
            "L": {"@odata.id": "/l"}, "M": [{"@odata.id": "/m"}, null, {"x": 1}]});
        for (key, expected) in [
            ("A", Some(1.0)),
            ("B", Some(2.5)),
            ("C", None),
            ("D", None),
            ("E", None),
            ("Z", None),
        ] {
            assert_eq!(number(&document, key), expected, "{key}");
        }
        assert_eq!(
            (text(&document, "F").as_deref(), text(&document, "A")),
            (Some("x"), None)
        );
        assert_eq!((link(&document, "L"), link(&document, "M")), (Some("/l"), None));
        assert_eq!(
            (links(&document, "M"), links(&document, "A").len()),
            (vec!["/m"], 0)
        );
        assert_eq!(
            (health(&document), health(&json!([]))),
            (Health::Ok, Health::Unknown)
        );
        assert!(is_absent(&json!({"Status": {"State": "Absent"}})) && !is_absent(&document));
    }
}
