//! What is taken out before anything is packed.

use serde_json::Value;
use servers::without_secrets;

/// What stands in its place.
const REMOVED: &str = "[removed]";
/// Fields whose values are data of users, whatever they look like.
const USERS_DATA: [&str; 7] = [
    "userData",
    "vendorData",
    "userdata",
    "crypted_root_password",
    "command",
    "certificate",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// Fields that are maps of settings: their names stay.
const SETTINGS: &str = "environment";

/// Lines of text.
pub(super) fn lines(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let kept = without_secrets(lines.iter().flat_map(|line| line.lines()));
    kept.into_iter().map(|line| line + "\n").collect()
}

/// An object, in all its depth.
pub(super) fn object(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            for (name, value) in fields {
                if USERS_DATA.contains(&name.as_str()) {
                    *value = REMOVED.into();
                } else if let (SETTINGS, Value::Object(settings)) = (name.as_str(), &mut *value) {
                    settings
                        .values_mut()
                        .for_each(|setting| *setting = REMOVED.into());
                } else {
                    object(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(object),
        Value::String(text) => *text = without_secrets(text.lines()).join("\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
