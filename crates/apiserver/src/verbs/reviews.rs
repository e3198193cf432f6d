//! SelfSubjectReview and SelfSubjectAccessReview: `kubectl auth whoami` and `kubectl auth can-i`.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Outcome, prepare};
use crate::authz::{self, Action};
use crate::call::Call;
use crate::status::ApiError;

/// POST of a review: the answer is its status.
pub(crate) fn create(call: &Call, mut object: Value) -> Result<Outcome, ApiError> {
    prepare::shape(call, &mut object)?;
    object["status"] = match call.found.kind.kind.as_str() {
        "SelfSubjectReview" => {
            json!({"userInfo": {"username": call.identity.name, "groups": call.identity.all_groups()}})
        }
        _ => access(call, &object["spec"]),
    };
    Ok(Outcome::Object(StatusCode::CREATED, object))
}

fn access(call: &Call, spec: &Value) -> Value {
    let (roles, identity) = (&call.core.roles, &call.identity);
    if let Some(attributes) = spec["nonResourceAttributes"].as_object() {
        let text = |key: &str| attributes.get(key).and_then(Value::as_str).unwrap_or("");
        return json!({"allowed": authz::allows_path(roles, identity, text("verb"), text("path"))});
    }
    let attributes = &spec["resourceAttributes"];
    let text = |key: &str| attributes[key].as_str().unwrap_or("");
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        sub => format!("{}/{sub}", text("resource")),
    };
    let action = Action {
        verb: text("verb"),
        group: text("group"),
        resource: &resource,
        namespace: text("namespace"),
    };
    json!({"allowed": authz::allows(roles, identity, action)})
}
