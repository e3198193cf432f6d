//! Requests against the schemas of a driver: every error at once is too much for a status, so the first one is told, with its
//! place.

use jsonschema::Validator;
use prost_types::Struct;

use super::provider::Schemas;
use crate::fault::Fault;
use crate::json;

/// The schemas, ready for use.
#[derive(Debug)]
pub(super) struct Compiled {
    scope: Validator,
    secret: Validator,
    machine: Validator,
    image: Validator,
}

impl Compiled {
    /// # Errors
    /// Which one is no schema, for the driver's author.
    pub(super) fn new(schemas: &Schemas) -> Result<Self, String> {
        let compile = |name: &str, schema: &serde_json::Value| {
            jsonschema::draft202012::new(schema)
                .map_err(|error| format!("the {name} schema is no JSON Schema: {error}"))
        };
        compile("identity", &schemas.identity)?;
        Ok(Self {
            scope: compile("scope", &schemas.scope)?,
            secret: compile("secret", &schemas.secret)?,
            machine: compile("machine", &schemas.machine)?,
            image: compile("image", &schemas.image)?,
        })
    }

    pub(super) fn scope(&self, config: Option<&Struct>) -> Result<(), Fault> {
        check(&self.scope, "/scope/config", &object(config))
    }

    /// The texts of secrets stand in no error: places and keywords alone.
    pub(super) fn secrets(&self, secrets: &std::collections::HashMap<String, Vec<u8>>) -> Result<(), Fault> {
        let texts = secrets.iter();
        let object: serde_json::Map<String, serde_json::Value> = texts
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned().into()))
            .collect();
        let object = serde_json::Value::Object(object);
        match self.secret.iter_errors(&object).next() {
            None => Ok(()),
            Some(error) => Err(Fault::invalid(
                place("/scope/secrets", &error),
                format!("the secrets do not fit the schema ({})", error.schema_path()),
            )),
        }
    }

    pub(super) fn machine(&self, prefix: &str, provider: Option<&Struct>) -> Result<(), Fault> {
        check(&self.machine, &format!("{prefix}/provider"), &object(provider))
    }

    pub(super) fn image(&self, source: Option<&Struct>) -> Result<(), Fault> {
        check(&self.image, "/source", &object(source))
    }
}

fn object(message: Option<&Struct>) -> serde_json::Value {
    message.map(json::from_struct).unwrap_or_default().into()
}

fn check(schema: &Validator, prefix: &str, object: &serde_json::Value) -> Result<(), Fault> {
    match schema.iter_errors(object).next() {
        None => Ok(()),
        Some(error) => Err(Fault::invalid(place(prefix, &error), error.to_string())),
    }
}

/// A field that is missing is named itself, not the object that lacks it.
fn place(prefix: &str, error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::error::ValidationErrorKind;
    let at = format!("{prefix}{}", error.instance_path());
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            format!("{at}/{}", property.replace('~', "~0").replace('/', "~1"))
        }
        _ => at,
    }
}
