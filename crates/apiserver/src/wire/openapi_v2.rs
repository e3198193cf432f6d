//! What is particular to `/openapi/v2`: its schemas have fewer words than those of v3, and kubectl asks for it in protobuf only
//! (`openapi.v2.Document` of gnostic). kubectl validates a `List` with it, as no server validates the fields of a `List`. Pure.

use http::HeaderMap;
use http::header::ACCEPT;
use prost::Message;
use serde_json::Value;

/// Media type of the document in protobuf.
pub(crate) const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients ask for: the same with a character that no media type may have (RFC 6838 §4.2).
const ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const PRESERVE_UNKNOWN_FIELDS: &str = "x-kubernetes-preserve-unknown-fields";

/// Whether a client asks for the document in protobuf before any other form.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let first = accept.and_then(|accept| accept.split([',', ';']).next());
    first.is_some_and(|first| [ASKED, MEDIA_TYPE].contains(&first.trim()))
}

/// Removes from a schema and those below it what OpenAPI v2 can't say, so that a client which reads v2 refuses no object that
/// the server takes. The rules are kube-apiserver's (`ToStructuralOpenAPIV2` of apiextensions).
pub(crate) fn older(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    // A reference with a default is `allOf` in v3.
    if let Some(reference) = map.get("allOf").and_then(|all| all[0].get("$ref")).cloned() {
        map.insert("$ref".to_owned(), reference);
    }
    for junctor in ["allOf", "anyOf", "oneOf", "not", "default"] {
        map.remove(junctor);
    }
    let is_nullable = map.remove("nullable") == Some(Value::Bool(true));
    let keeps_unknown = map.get(PRESERVE_UNKNOWN_FIELDS) == Some(&Value::Bool(true));
    if is_nullable || keeps_unknown {
        map.remove("items");
        map.remove("properties");
    }
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let lacks_items = kind == "array" && !map.contains_key("items");
    if is_nullable || lacks_items || (keeps_unknown && kind == "object") {
        map.remove("type");
    }
    let is_null = |schema: &Value| schema["nullable"] == true;
    let properties = map.get("properties").and_then(Value::as_object);
    let nullable: Vec<String> = properties
        .into_iter()
        .flatten()
        .filter(|(_, schema)| is_null(schema))
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(required) = map.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| {
            name.as_str()
                .is_none_or(|name| !nullable.iter().any(|other| other == name))
        });
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(older);
    }
    for below in ["items", "additionalProperties"] {
        if let Some(schema) = map.get_mut(below) {
            older(schema);
        }
    }
}

/// A document of v2 in protobuf. Its paths are left out: kubectl reads none.
pub(crate) fn encode(document: &Value) -> Vec<u8> {
    let encoded = Document {
        swagger: text(document, "swagger"),
        info: Some(Info {
            title: text(&document["info"], "title"),
            version: text(&document["info"], "version"),
        }),
        paths: Some(Paths {}),
        definitions: Some(schemas(&document["definitions"])),
    };
    encoded.encode_to_vec()
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

fn schemas(of: &Value) -> NamedSchemas {
    let named = |(name, schema): (&String, &Value)| NamedSchema {
        name: name.clone(),
        value: Some(self::schema(schema)),
    };
    NamedSchemas {
        additional_properties: of.as_object().into_iter().flatten().map(named).collect(),
    }
}

fn schema(of: &Value) -> Schema {
    let texts = |name: &str| -> Vec<String> {
        let values = of[name].as_array().into_iter().flatten();
        values
            .filter_map(|value| Some(value.as_str()?.to_owned()))
            .collect()
    };
    let number = |name: &str| of[name].as_f64().unwrap_or_default();
    let count = |name: &str| of[name].as_i64().unwrap_or_default();
    let is = |name: &str| of[name] == true;
    // JSON is YAML.
    let any = |value: &Value| Any {
        yaml: value.to_string(),
    };
    let extensions = of
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("x-"));
    Schema {
        reference: text(of, "$ref"),
        format: text(of, "format"),
        title: text(of, "title"),
        description: text(of, "description"),
        multiple_of: number("multipleOf"),
        maximum: number("maximum"),
        exclusive_maximum: is("exclusiveMaximum"),
        minimum: number("minimum"),
        exclusive_minimum: is("exclusiveMinimum"),
        max_length: count("maxLength"),
        min_length: count("minLength"),
        pattern: text(of, "pattern"),
        max_items: count("maxItems"),
        min_items: count("minItems"),
        unique_items: is("uniqueItems"),
        max_properties: count("maxProperties"),
        min_properties: count("minProperties"),
        required: texts("required"),
        enumeration: of["enum"].as_array().into_iter().flatten().map(any).collect(),
        additional_properties: of.get("additionalProperties").map(|below| AdditionalProperties {
            oneof: Some(match below {
                Value::Bool(is) => SchemaOrBool::Bool(*is),
                below => SchemaOrBool::Schema(Box::new(schema(below))),
            }),
        }),
        kind: of["type"].as_str().map(|kind| TypeItem {
            value: vec![kind.to_owned()],
        }),
        items: of.get("items").map(|below| ItemsItem {
            schema: vec![schema(below)],
        }),
        properties: of.get("properties").map(schemas),
        extensions: extensions
            .map(|(name, value)| NamedAny {
                name: name.clone(),
                value: Some(any(value)),
            })
            .collect(),
    }
}

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<NamedSchemas>,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Paths {}

/// `Definitions` and `Properties`.
#[derive(Clone, PartialEq, Message)]
struct NamedSchemas {
    #[prost(message, repeated, tag = "1")]
    additional_properties: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "3")]
    title: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(double, tag = "6")]
    multiple_of: f64,
    #[prost(double, tag = "7")]
    maximum: f64,
    #[prost(bool, tag = "8")]
    exclusive_maximum: bool,
    #[prost(double, tag = "9")]
    minimum: f64,
    #[prost(bool, tag = "10")]
    exclusive_minimum: bool,
    #[prost(int64, tag = "11")]
    max_length: i64,
    #[prost(int64, tag = "12")]
    min_length: i64,
    #[prost(string, tag = "13")]
    pattern: String,
    #[prost(int64, tag = "14")]
    max_items: i64,
    #[prost(int64, tag = "15")]
    min_items: i64,
    #[prost(bool, tag = "16")]
    unique_items: bool,
    #[prost(int64, tag = "17")]
    max_properties: i64,
    #[prost(int64, tag = "18")]
    min_properties: i64,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    enumeration: Vec<Any>,
    #[prost(message, optional, tag = "21")]
    additional_properties: Option<AdditionalProperties>,
    #[prost(message, optional, tag = "22")]
    kind: Option<TypeItem>,
    #[prost(message, optional, tag = "23")]
    items: Option<ItemsItem>,
    #[prost(message, optional, tag = "25")]
    properties: Option<NamedSchemas>,
    #[prost(message, repeated, tag = "31")]
    extensions: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct AdditionalProperties {
    #[prost(oneof = "SchemaOrBool", tags = "1, 2")]
    oneof: Option<SchemaOrBool>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum SchemaOrBool {
    #[prost(message, tag = "1")]
    Schema(Box<Schema>),
    #[prost(bool, tag = "2")]
    Bool(bool),
}

#[derive(Clone, PartialEq, Message)]
struct TypeItem {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ItemsItem {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

#[derive(Clone, PartialEq, Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn older_schemas_refuse_nothing_that_newer_ones_take() {
        let mut schema = json!({
            "type": "object",
            "required": ["may_be_null", "must"],
            "anyOf": [{"required": ["a"]}],
            "properties": {
                "may_be_null": {"type": "object", "nullable": true, "properties": {"a": {"type": "string"}}},
                "must": {"type": "array", "items": {"type": "string", "default": "x"}},
                "metadata": {"description": "d", "default": {}, "allOf": [{"$ref": "#/definitions/Meta"}]},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {}}},
            },
        });
        older(&mut schema);
        let expected = json!({
            "type": "object",
            "required": ["must"],
            "properties": {
                "may_be_null": {},
                "must": {"type": "array", "items": {"type": "string"}},
                "metadata": {"description": "d", "$ref": "#/definitions/Meta"},
                "open": {"x-kubernetes-preserve-unknown-fields": true},
            },
        });
        assert_eq!(schema, expected);
    }
}
