//! `metav1.Status`: every failure of the API as clients expect it (reason, code, details, causes).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

/// A failed request, rendered as a `Status` object.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub code: StatusCode,
    /// `StatusReason` of the Kubernetes API.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    details: Map<String, Value>,
    lost_race: bool,
    /// `Allow` header of a 405.
    allow: Option<String>,
}

/// One offending field of an invalid object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cause {
    /// `CauseType`, for example `FieldValueInvalid`.
    pub reason: &'static str,
    /// Path such as `spec.disks[0].device`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Cause {
    /// `field: Invalid value: value: text`.
    pub fn invalid(field: &str, value: &Value, text: &str) -> Cause {
        let message = format!("Invalid value: {}: {text}", shorten(value));
        Cause {
            reason: "FieldValueInvalid",
            field: field.to_owned(),
            message,
        }
    }

    /// `field: Required value`.
    pub fn required(field: &str, text: &str) -> Cause {
        let message = if text.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {text}")
        };
        Cause {
            reason: "FieldValueRequired",
            field: field.to_owned(),
            message,
        }
    }

    /// `field: Unsupported value`.
    pub fn unsupported(field: &str, value: &Value, supported: &[Value]) -> Cause {
        let list: Vec<String> = supported.iter().map(Value::to_string).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shorten(value),
            list.join(", ")
        );
        Cause {
            reason: "FieldValueNotSupported",
            field: field.to_owned(),
            message,
        }
    }

    /// `field: Forbidden`.
    pub fn forbidden(field: &str, text: &str) -> Cause {
        Cause {
            reason: "FieldValueForbidden",
            field: field.to_owned(),
            message: format!("Forbidden: {text}"),
        }
    }

    /// `field: Duplicate value`.
    pub fn duplicate(field: &str, value: &Value) -> Cause {
        let message = format!("Duplicate value: {}", shorten(value));
        Cause {
            reason: "FieldValueDuplicate",
            field: field.to_owned(),
            message,
        }
    }

    /// The wrong JSON type.
    pub fn wrong_type(field: &str, value: &Value, expected: &str) -> Cause {
        let text = format!(
            "{field} in body must be of type {expected}: {}",
            quoted_type(value)
        );
        let message = format!("Invalid value: {}: {text}", quoted_type(value));
        Cause {
            reason: "FieldValueTypeInvalid",
            field: field.to_owned(),
            message,
        }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "field": self.field, "message": self.message})
    }
}

/// An object of a list that was not applied.
#[derive(Debug, Clone)]
pub(crate) struct ItemFailure {
    /// Its place in the list.
    pub(crate) index: usize,
    name: String,
    reason: &'static str,
    message: String,
}

impl ItemFailure {
    pub(crate) fn new(index: usize, name: &str, error: &ApiError) -> ItemFailure {
        ItemFailure {
            index,
            name: name.to_owned(),
            reason: error.reason,
            message: error.message.clone(),
        }
    }

    fn json(&self) -> Value {
        let field = format!("items[{}]", self.index);
        json!({"reason": self.reason, "field": field, "message": self.message})
    }
}

fn quoted_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "\"null\"",
        Value::Bool(_) => "\"boolean\"",
        Value::Number(n) if n.is_f64() => "\"number\"",
        Value::Number(_) => "\"integer\"",
        Value::String(_) => "\"string\"",
        Value::Array(_) => "\"array\"",
        Value::Object(_) => "\"object\"",
    }
}

/// Values in messages are cut: an error must not repeat a whole object.
fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 {
        return text;
    }
    let head: String = text.chars().take(117).collect();
    format!("{head}...")
}

/// Group and plural as messages name them: `hardware.tinkerbell.org`.
pub(crate) fn group_resource(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

impl ApiError {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            reason,
            message: message.into(),
            details: Map::new(),
            lost_race: false,
            allow: None,
        }
    }

    /// The same failure with another text.
    pub fn with_message(mut self, message: impl Into<String>) -> ApiError {
        self.message = message.into();
        self
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> ApiError {
        for (key, value) in [("group", group), ("kind", kind), ("name", name)] {
            if !value.is_empty() {
                self.details.insert(key.to_owned(), value.into());
            }
        }
        self
    }

    fn caused_by(mut self, causes: &[Cause]) -> ApiError {
        if !causes.is_empty() {
            self.details
                .insert("causes".to_owned(), causes.iter().map(Cause::json).collect());
        }
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 with the reason given in `text`.
    pub fn forbidden(group: &str, plural: &str, name: &str, text: &str) -> ApiError {
        let message = format!(
            "{} \"{name}\" is forbidden: {text}",
            group_resource(group, plural)
        );
        ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, plural, name)
    }

    /// 403 for a path that is no resource.
    pub fn forbidden_path(text: &str) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, "Forbidden", format!("forbidden: {text}"))
    }

    /// 404 of an object.
    pub fn not_found(group: &str, plural: &str, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" not found", group_resource(group, plural));
        ApiError::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, plural, name)
    }

    /// 404 of a path.
    pub fn no_such_path() -> ApiError {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// 405; `allow` lists the methods of the path as in the `Allow` header.
    pub fn method_not_allowed(allow: impl Into<String>) -> ApiError {
        let allow = allow.into();
        let message =
            format!("the server does not allow this method on the requested resource, only {allow}");
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        ApiError {
            allow: Some(allow),
            ..error
        }
    }

    /// Value of the `Allow` header.
    pub(crate) fn allow(&self) -> Option<&str> {
        self.allow.as_deref()
    }

    /// 406.
    pub fn not_acceptable() -> ApiError {
        let message = "only the following media types are accepted: application/json, application/yaml";
        ApiError::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 409 on create.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" already exists", group_resource(group, plural));
        ApiError::new(StatusCode::CONFLICT, "AlreadyExists", message).about(group, plural, name)
    }

    /// 409 on a lost race or failed precondition.
    pub fn conflict(group: &str, plural: &str, name: &str, text: &str) -> ApiError {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {text}",
            group_resource(group, plural)
        );
        ApiError::new(StatusCode::CONFLICT, "Conflict", message).about(group, plural, name)
    }

    /// 409 of a stale resourceVersion.
    pub fn modified(group: &str, plural: &str, name: &str) -> ApiError {
        let text =
            "the object has been modified; please apply your changes to the latest version and try again";
        ApiError {
            lost_race: true,
            ..ApiError::conflict(group, plural, name, text)
        }
    }

    /// True when computing the write again on a newer state may succeed.
    pub(crate) fn is_lost_race(&self) -> bool {
        self.lost_race
    }

    /// The same failure, not to be retried by the server.
    pub(crate) fn for_good(mut self) -> ApiError {
        self.lost_race = false;
        self
    }

    /// 409 of server-side apply: managers with the fields that they own.
    pub fn apply_conflict(conflicts: &[(String, Vec<String>)]) -> ApiError {
        let mut causes = Vec::new();
        for (manager, fields) in conflicts {
            causes.extend(fields.iter().map(|field| Cause {
                reason: "FieldManagerConflict",
                field: field.clone(),
                message: format!("conflict with {manager}"),
            }));
        }
        let message = match causes.as_slice() {
            [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
            _ => {
                let mut lines = Vec::new();
                for (manager, fields) in conflicts {
                    lines.push(format!("conflicts with {manager}:"));
                    lines.extend(fields.iter().map(|field| format!("- {field}")));
                }
                let count = causes.len();
                format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
            }
        };
        ApiError::new(StatusCode::CONFLICT, "Conflict", message).caused_by(&causes)
    }

    /// 410: the resourceVersion is out of the window.
    pub fn expired(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::GONE, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> ApiError {
        let message = format!("Request entity too large: limit is {limit}");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 413 of an object that is larger than what is stored.
    pub fn object_too_large(bytes: usize, most: usize) -> ApiError {
        let message = format!(
            "Request entity too large: the object has {bytes} bytes of JSON, at most {most} can be stored"
        );
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub fn unsupported_media(message: impl Into<String>) -> ApiError {
        ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    /// 422 with every cause at once, up to a hundred.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> ApiError {
        const MOST: usize = 100;
        let causes = &causes[..causes.len().min(MOST)];
        let lines: Vec<String> = causes.iter().map(Cause::line).collect();
        let list = match lines.as_slice() {
            [one] => one.clone(),
            _ => format!("[{}]", lines.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {list}", group_resource(group, kind));
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .about(group, kind, name)
            .caused_by(causes)
    }

    /// 422 of a list of `count` objects, with the place of each one that was not applied in `details.causes`.
    pub(crate) fn not_all_applied(
        group: &str,
        plural: &str,
        count: usize,
        failures: &[ItemFailure],
    ) -> ApiError {
        let of = group_resource(group, plural);
        let first = failures.first().map_or(String::new(), |first| {
            format!(": items[{}] ({}): {}", first.index, first.name, first.message)
        });
        let message = format!("{} of {count} {of} were not applied{first}", failures.len());
        let mut error =
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(group, plural, "");
        let causes = failures.iter().map(ItemFailure::json).collect();
        error.details.insert("causes".to_owned(), causes);
        error
    }

    /// 422 of a patch that does not fit its object.
    pub fn unprocessable(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// 500. The message must not hold what a client should not see.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// 429: asks the client to come again in a second.
    pub fn too_many_requests() -> ApiError {
        let message = "too many requests, please try again later";
        let mut error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        error.details.insert("retryAfterSeconds".to_owned(), 1.into());
        error
    }

    /// 504: the request took longer than one may.
    pub fn timeout(limit: Duration) -> ApiError {
        let message = format!(
            "request did not complete within the allotted {} s",
            limit.as_secs()
        );
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> ApiError {
        ApiError::internal(error.to_string())
    }
}
