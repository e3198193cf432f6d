//! The patch formats of the API. Pure: current object and patch in, new object out.
//!
//! JSON patch (RFC 6902) and merge patch (RFC 7386) come from `json-patch`; strategic merge for the built-in kinds
//! and server-side apply with field ownership are here.

pub(crate) mod apply;
pub(crate) mod fieldset;
pub(crate) mod managed;
pub(crate) mod strategic;
pub(crate) mod walk;

use serde_json::Value;

use crate::status::ApiError;

/// How a PATCH body is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    /// From the content type of the request.
    pub(crate) fn of(content_type: &str) -> Option<PatchKind> {
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Some(PatchKind::Json),
            "application/merge-patch+json" => Some(PatchKind::Merge),
            "application/strategic-merge-patch+json" => Some(PatchKind::Strategic),
            "application/apply-patch+yaml" => Some(PatchKind::Apply),
            _ => None,
        }
    }
}

/// Operations in one JSON patch at most, as the real server allows.
const MOST_OPERATIONS: usize = 10_000;

/// Applies a JSON patch.
pub(crate) fn json_patch(current: &Value, patch: &Value) -> Result<Value, ApiError> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    if patch.0.len() > MOST_OPERATIONS {
        let text = format!("the allowed maximum operations in a JSON patch is {MOST_OPERATIONS}");
        return Err(ApiError::too_large(MOST_OPERATIONS).with_message(text));
    }
    let mut object = current.clone();
    match json_patch::patch(&mut object, &patch) {
        Ok(()) => Ok(object),
        Err(e) => Err(ApiError::unprocessable(format!(
            "the server rejected our request: {e}"
        ))),
    }
}

/// Applies a merge patch.
pub(crate) fn merge_patch(current: &Value, patch: &Value) -> Result<Value, ApiError> {
    if !patch.is_object() {
        return Err(ApiError::bad_request("a merge patch must be a JSON object"));
    }
    let mut object = current.clone();
    json_patch::merge(&mut object, patch);
    Ok(object)
}
