//! Options of a write that are checked before its object: field manager and force.

use http::HeaderMap;
use http::header::USER_AGENT;

use crate::call::Call;
use crate::patch::PatchKind;
use crate::status::{ApiError, Cause};

/// Bytes that the name of a field manager may have.
const LONGEST_MANAGER: usize = 128;

/// Who writes: the parameter, else what stands before the slash of the user agent, as far as it makes a name.
pub(crate) fn manager(given: &str, headers: &HeaderMap) -> String {
    if !given.is_empty() {
        return given.to_owned();
    }
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok());
    let product = agent.and_then(|a| a.split('/').next()).unwrap_or("");
    let mut name = String::new();
    for c in product.chars().filter(|c| is_printable(*c)) {
        if name.len() + c.len_utf8() > LONGEST_MANAGER {
            break;
        }
        name.push(c);
    }
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

/// Checks the options of a create or update.
pub(crate) fn check(call: &Call, options: &str) -> Result<(), ApiError> {
    refuse(options, &manager_causes(&call.query.field_manager))
}

/// Checks the options of a patch.
pub(crate) fn check_patch(call: &Call, kind: PatchKind) -> Result<(), ApiError> {
    refuse(
        "PatchOptions",
        &patch_causes(kind, &call.query.field_manager, call.query.force),
    )
}

fn patch_causes(kind: PatchKind, manager: &str, force: Option<bool>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if kind != PatchKind::Apply && force.is_some() {
        causes.push(Cause::forbidden(
            "force",
            "may not be specified for non-apply patch",
        ));
    }
    if kind == PatchKind::Apply && manager.is_empty() {
        causes.push(Cause::required("fieldManager", "is required for apply patch"));
    }
    causes.extend(manager_causes(manager));
    causes
}

fn refuse(options: &str, causes: &[Cause]) -> Result<(), ApiError> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid("meta.k8s.io", options, "", causes))
    }
}

fn manager_causes(manager: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if manager.len() > LONGEST_MANAGER {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            field: "fieldManager".to_owned(),
            message: format!("Too long: may not be more than {LONGEST_MANAGER} bytes"),
        });
    }
    if let Some((at, c)) = manager.char_indices().find(|(_, c)| !is_printable(*c)) {
        let text = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        causes.push(Cause::invalid("fieldManager", &manager.into(), &text));
    }
    causes
}

/// Of spaces only the plain one is.
fn is_printable(c: char) -> bool {
    c == ' ' || !c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_table() {
        let long = "m".repeat(129);
        for (kind, manager, force, expected) in [
            (PatchKind::Apply, "m", Some(true), ""),
            (PatchKind::Apply, &long[1..], None, ""),
            (
                PatchKind::Apply,
                "",
                None,
                "fieldManager: Required value: is required for apply patch",
            ),
            (
                PatchKind::Apply,
                &long,
                None,
                "fieldManager: Too long: may not be more than 128 bytes",
            ),
            (PatchKind::Merge, "", None, ""),
            (
                PatchKind::Merge,
                "",
                Some(false),
                "force: Forbidden: may not be specified for non-apply patch",
            ),
            (
                PatchKind::Json,
                "a\nb",
                None,
                "invalid character U+000A (at position 1)",
            ),
        ] {
            let done = refuse("PatchOptions", &patch_causes(kind, manager, force));
            match done {
                Ok(()) => assert_eq!(expected, "", "{manager}"),
                Err(error) => {
                    assert_eq!(error.code, 422);
                    let head = "PatchOptions.meta.k8s.io \"\" is invalid: ";
                    assert!(error.message.starts_with(head), "{}", error.message);
                    assert!(
                        !expected.is_empty() && error.message.ends_with(expected),
                        "{}",
                        error.message
                    );
                }
            }
        }
    }

    #[test]
    fn a_user_agent_makes_a_name() {
        let of = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            manager("", &headers)
        };
        assert_eq!(of("kubectl/v1.35 (linux)"), "kubectl");
        assert_eq!(of("a\tb/1"), "ab");
        assert_eq!(of(&"x".repeat(300)).len(), 128);
        assert_eq!(of("/1"), "unknown");
        assert_eq!(manager("given", &HeaderMap::new()), "given");
    }
}
