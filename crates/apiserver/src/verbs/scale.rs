//! Reading and writing the subresource `scale`. A write changes nothing of the object but the wanted number.

use std::time::Instant;

use http::StatusCode;
use serde_json::Value;

use super::prepare::{self, Ownership};
use super::write::{RETRY, check_expected, store};
use super::{Outcome, options};
use crate::call::Call;
use crate::kinds::{ScalePaths, scale};
use crate::meta::Meta;
use crate::patch::{self, PatchKind};
use crate::status::ApiError;

fn paths(call: &Call) -> Result<ScalePaths, ApiError> {
    let paths = &call.found.version().scale;
    paths.clone().ok_or_else(ApiError::no_such_path)
}

/// GET of a scale.
pub(crate) fn get(call: &Call) -> Result<Outcome, ApiError> {
    let paths = paths(call)?;
    let version = &call.found.version().name;
    let object = call.found.kind.view_of(version, &call.current()?.value());
    if paths.wanted(&object).is_none() {
        let text = format!("the spec replicas field {:?} does not exist", paths.wanted_path());
        return Err(ApiError::internal(text));
    }
    Ok(Outcome::Object(StatusCode::OK, paths.scale(&object)))
}

/// PUT of a scale.
pub(crate) async fn update(call: &mut Call, body: Value) -> Result<Outcome, ApiError> {
    options::check(call, "UpdateOptions")?;
    write(call, |_| Ok(body.clone()), Way::Put).await
}

/// PATCH of a scale.
pub(crate) async fn patch(call: &mut Call, media: &str, body: Value) -> Result<Outcome, ApiError> {
    let kind = PatchKind::of(media).filter(|kind| matches!(kind, PatchKind::Json | PatchKind::Merge));
    let kind = kind.ok_or_else(|| {
        ApiError::unsupported_media(format!(
            "a scale is not patched by {media} - accepted media types include: application/json-patch+json, \
             application/merge-patch+json"
        ))
    })?;
    options::check_patch(call, kind)?;
    let change = |scale: &Value| match kind {
        PatchKind::Json => patch::json_patch(scale, &body),
        _ => patch::merge_patch(scale, &body),
    };
    write(call, change, Way::Patch).await
}

/// How a scale is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As a whole.
    Put,
    /// As a change of the present one.
    Patch,
}

/// Stores the number of the scale that `change` makes of the present one.
async fn write(
    call: &mut Call,
    change: impl Fn(&Value) -> Result<Value, ApiError>,
    way: Way,
) -> Result<Outcome, ApiError> {
    let paths = paths(call)?;
    let version = call.found.version().name.clone();
    let api_version = format!("{}/{}", scale::GROUP, scale::VERSION);
    let began = Instant::now();
    while began.elapsed() < RETRY {
        let current = call.current()?;
        let mut object = call.found.kind.view_of(&version, &current.value());
        let mut wanted = change(&paths.scale(&object))?;
        prepare::shape_as(call, &mut wanted, &api_version, scale::KIND)?;
        check_expected(call, &current, wanted.meta_str("resourceVersion"), wanted.uid())
            .map_err(ApiError::for_good)?;
        let or_zero = way == Way::Put || paths.wanted(&object).is_some();
        let replicas = number(&wanted, way, or_zero, &paths)?;
        paths.want(&mut object, replicas);
        let stored = match store(call, &current, object, Ownership::Update).await {
            Err(e) if e.reason == "Conflict" && e.is_lost_race() => continue,
            done => done?,
        };
        return Ok(match stored {
            Outcome::Stored(code, stored) => {
                let object = call.found.kind.view_of(&version, &stored.value());
                Outcome::Object(code, paths.scale(&object))
            }
            Outcome::Object(code, object) => Outcome::Object(code, paths.scale(&object)),
            other => other,
        });
    }
    Err(ApiError::timeout(RETRY))
}

/// The number that a written scale asks for; none, where one without a number does.
fn number(scale: &Value, way: Way, or_zero: bool, paths: &ScalePaths) -> Result<i32, ApiError> {
    match &scale["spec"]["replicas"] {
        Value::Null if or_zero => Ok(0),
        Value::Null => Err(ApiError::bad_request(format!(
            "the spec replicas field {:?} cannot be empty",
            paths.wanted_path()
        ))),
        given => {
            let number = given.as_i64().and_then(|number| i32::try_from(number).ok());
            number.ok_or_else(|| {
                let text = format!(
                    "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas: {given} is no 32-bit integer"
                );
                match way {
                    Way::Put => ApiError::bad_request(text),
                    Way::Patch => ApiError::unprocessable(text),
                }
            })
        }
    }
}
