//! The objects as YAML documents, for `gantry generate hardware`.

use serde_json::{Value, json};

use crate::error::Error;
use crate::objects::RowObjects;

/// All objects, one document each, in the order of rows. Without `include_secrets` a user and a password are shown as
/// `<redacted>`, and the document says so.
///
/// # Errors
/// When an object cannot be printed.
pub fn to_yaml(objects: &[RowObjects], include_secrets: bool) -> Result<String, Error> {
    let mut text = String::new();
    for row in objects {
        push(&mut text, &value(&row.hardware)?)?;
        if let Some(bmc) = &row.bmc {
            push(&mut text, &value(bmc)?)?;
        }
        if let Some(secret) = &row.secret {
            let mut secret = value(secret)?;
            if !include_secrets && let Some(fields) = secret.as_object_mut() {
                fields.remove("data");
                fields.insert(
                    "stringData".to_owned(),
                    json!({ "password": "<redacted>", "username": "<redacted>" }),
                );
                text.push_str("---\n# Redacted: apply the CSV itself, or print with the secrets included.\n");
                push_body(&mut text, &secret)?;
            } else {
                push(&mut text, &secret)?;
            }
        }
    }
    Ok(text)
}

fn value<T: serde::Serialize + kube::ResourceExt>(object: &T) -> Result<Value, Error> {
    serde_json::to_value(object).map_err(|source| Error::Json {
        object: object.name_any(),
        source,
    })
}

fn push(text: &mut String, object: &Value) -> Result<(), Error> {
    text.push_str("---\n");
    push_body(text, object)
}

fn push_body(text: &mut String, object: &Value) -> Result<(), Error> {
    let body = serde_saphyr::to_string(object).map_err(|source| {
        let part = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("?")
                .to_owned()
        };
        Error::Yaml {
            object: format!("{} {}", part("/kind"), part("/metadata/name")),
            source,
        }
    })?;
    text.push_str(&body);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(())
}
