//! JSON patch (RFC 6902), operation by operation: what an operation makes is bounded before it is made.
//!
//! As in kube-apiserver, a key that an object does not have stands for null (see [`lenient`]).

use std::borrow::Cow;

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::Value;

use crate::extent::{DEEPEST, Extent};
use crate::status::ApiError;

/// Operations in one patch at most, as in kube-apiserver.
const MOST_OPERATIONS: usize = 10_000;
/// Bytes of JSON that the `copy` operations of one patch may make together, as in kube-apiserver.
const MOST_COPIED: usize = 3 * 1024 * 1024;
/// Bytes of JSON that the `move` operations of one patch may carry together: each is measured for its depth.
const MOST_MOVED: usize = 64 * 1024 * 1024;

/// Applies a JSON patch.
pub(crate) fn json_patch(current: &Value, patch: &Value) -> Result<Value, ApiError> {
    let patch: Patch = serde_json::from_value(patch.clone())
        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    if patch.0.len() > MOST_OPERATIONS {
        let text = format!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
            patch.0.len()
        );
        return Err(ApiError::too_large(MOST_OPERATIONS).with_message(text));
    }
    let mut object = current.clone();
    let (mut copied, mut moved) = (0, 0);
    for operation in &patch.0 {
        let Some(operation) = lenient(operation, &object) else {
            continue;
        };
        let operation = operation.as_ref();
        // What the operation puts at its path; an absent source is an error of the operation itself.
        let value = match operation {
            PatchOperation::Add(add) => Some(&add.value),
            PatchOperation::Replace(replace) => Some(&replace.value),
            PatchOperation::Copy(copy) => copy.from.resolve(&object).ok(),
            PatchOperation::Move(from) => from.from.resolve(&object).ok(),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
        };
        if let Some(value) = value {
            let extent = Extent::of(value);
            match operation {
                PatchOperation::Copy(_) => spend("copy", &mut copied, extent.bytes, MOST_COPIED)?,
                PatchOperation::Move(_) => spend("move", &mut moved, extent.bytes, MOST_MOVED)?,
                _ => {}
            }
            let depth = extent.depth.saturating_add(operation.path().count());
            if depth > DEEPEST {
                return Err(ApiError::unprocessable(format!(
                    "the patch nests values {depth} levels deep, at most {DEEPEST} are allowed"
                )));
            }
        }
        json_patch::patch_unsafe(&mut object, std::slice::from_ref(operation))
            .map_err(|e| ApiError::unprocessable(format!("the server rejected our request: {e}")))?;
    }
    Ok(object)
}

/// An operation on a key that its object does not have: `replace` adds it, `copy` copies null, and a `test` for null
/// holds, so there is nothing to do. RFC 6902 makes errors of them, but clients of Kubernetes rely on it.
fn lenient<'a>(operation: &'a PatchOperation, object: &Value) -> Option<Cow<'a, PatchOperation>> {
    let lacks = |path: &Pointer| {
        let parent = path.parent().and_then(|parent| parent.resolve(object).ok());
        parent.is_some_and(Value::is_object) && path.resolve(object).is_err()
    };
    let add = |path: &Pointer, value: Value| {
        Some(Cow::Owned(PatchOperation::Add(AddOperation {
            path: path.to_buf(),
            value,
        })))
    };
    match operation {
        PatchOperation::Replace(replace) if lacks(&replace.path) => add(&replace.path, replace.value.clone()),
        PatchOperation::Copy(copy) if lacks(&copy.from) => add(&copy.path, Value::Null),
        PatchOperation::Test(test) if test.value.is_null() && lacks(&test.path) => None,
        operation => Some(Cow::Borrowed(operation)),
    }
}

/// Adds to what operations of a kind made so far.
fn spend(kind: &str, sum: &mut usize, bytes: usize, most: usize) -> Result<(), ApiError> {
    *sum = sum.saturating_add(bytes);
    if *sum <= most {
        return Ok(());
    }
    Err(ApiError::unprocessable(format!(
        "Unable to complete the {kind}, the accumulated size increase of {kind} is {sum}, exceeding the limit {most}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn copies_into_themselves_end_early() {
        let object = json!({"data": {"a": "x".repeat(100)}});
        let copies: Vec<Value> = (0..24)
            .map(|i| json!({"op": "copy", "from": "/data", "path": format!("/data/k{i}")}))
            .collect();
        let start = std::time::Instant::now();
        let error = json_patch(&object, &Value::Array(copies)).unwrap_err();
        assert_eq!(error.code, 422);
        assert!(
            error.message.contains("exceeding the limit 3145728"),
            "{}",
            error.message
        );
        assert!(
            start.elapsed() < std::time::Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn depth_does_not_grow_by_moves_and_adds() {
        let nest = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"n": inner}));
        let path = |name: &str, depth: usize| format!("/{name}{}", "/n".repeat(depth));
        for operations in [
            json!([{"op": "add", "path": "/a", "value": nest(119)}]),
            json!([{"op": "add", "path": "/a", "value": nest(60)}, {"op": "add", "path": "/b", "value": nest(60)},
                {"op": "move", "from": "/a", "path": path("b", 60)}]),
            json!([{"op": "add", "path": "/a", "value": nest(60)}, {"op": "add", "path": "/b", "value": nest(60)},
                {"op": "copy", "from": "/a", "path": path("b", 60)}]),
            json!([{"op": "add", "path": "/a", "value": nest(100)}, {"op": "replace", "path": path("a", 100), "value": nest(20)}]),
        ] {
            let error = json_patch(&json!({}), &operations).unwrap_err();
            assert!(error.message.contains("levels deep"), "{}", error.message);
        }
    }

    #[test]
    fn a_key_that_is_not_there_stands_for_null() {
        let object = json!({"a": {"b": 1}, "list": []});
        let operations = json!([{"op": "test", "path": "/a/x", "value": null},
            {"op": "replace", "path": "/a/y", "value": 2}, {"op": "copy", "from": "/a/z", "path": "/c"}]);
        assert_eq!(
            json_patch(&object, &operations).unwrap(),
            json!({"a": {"b": 1, "y": 2}, "list": [], "c": null})
        );
        for operation in [
            json!({"op": "replace", "path": "/x/y", "value": 2}),
            json!({"op": "replace", "path": "/list/0", "value": 2}),
            json!({"op": "copy", "from": "/list/0", "path": "/c"}),
            json!({"op": "test", "path": "/a/x", "value": 1}),
            json!({"op": "move", "from": "/a/x", "path": "/c"}),
            json!({"op": "remove", "path": "/a/x"}),
        ] {
            let error = json_patch(&object, &json!([operation])).unwrap_err();
            assert_eq!(error.code, 422, "{operation}");
        }
    }

    #[test]
    fn operations_see_what_those_before_them_did() {
        let operations = json!([{"op": "add", "path": "/a/0", "value": 1}, {"op": "copy", "from": "/a", "path": "/b"},
            {"op": "move", "from": "/b/0", "path": "/c"}, {"op": "test", "path": "/c", "value": 1},
            {"op": "replace", "path": "/c", "value": 2}, {"op": "remove", "path": "/a/1"}]);
        assert_eq!(
            json_patch(&json!({"a": [7]}), &operations).unwrap(),
            json!({"a": [1], "b": [7], "c": 2})
        );
        for (operations, code) in [
            (json!([{"op": "test", "path": "/a", "value": 1}]), 422),
            (json!([{"op": "remove", "path": "/x"}]), 422),
            (json!({"op": "add"}), 400),
            (json!([{"op": "grow", "path": "/a"}]), 400),
            (
                Value::Array(vec![json!({"op": "test", "path": "/a", "value": [7]}); 10_001]),
                413,
            ),
        ] {
            assert_eq!(
                json_patch(&json!({"a": [7]}), &operations).unwrap_err().code,
                code
            );
        }
    }
}
