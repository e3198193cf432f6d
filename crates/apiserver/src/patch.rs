//! The patch formats of the API. Pure: current object and patch in, new object out.
//!
//! The operations of JSON patch (RFC 6902) and merge patch (RFC 7386) come from `json-patch`; strategic merge for the built-in kinds
//! and server-side apply with field ownership are here.

pub(crate) mod apply;
mod compare;
mod fieldset;
mod json;
pub(crate) mod managed;
mod merge;
pub(crate) mod strategic;
mod walk;

use serde_json::Value;

pub(crate) use json::json_patch;

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

/// Applies a merge patch.
pub(crate) fn merge_patch(current: &Value, patch: &Value) -> Result<Value, ApiError> {
    if !patch.is_object() {
        return Err(ApiError::bad_request("a merge patch must be a JSON object"));
    }
    let mut object = current.clone();
    json_patch::merge(&mut object, patch);
    Ok(object)
}
