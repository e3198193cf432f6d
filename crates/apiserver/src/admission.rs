//! Admission: pure functions that may change or refuse an object before it is validated and stored.

use serde_json::Value;

use crate::authn::Identity;

/// What is being done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionVerb {
    /// A new object.
    Create,
    /// A changed object, by update, patch or apply.
    Update,
    /// A deletion; changes to the object are ignored.
    Delete,
}

/// The circumstances of a write.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionRequest<'a> {
    /// What is being done.
    pub verb: AdmissionVerb,
    /// API group of the kind.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// "" or `status`.
    pub subresource: &'a str,
    /// Who asks.
    pub identity: &'a Identity,
    /// State before, except on create.
    pub old: Option<&'a Value>,
}

/// A hook: changes `object` or refuses with a message for the user.
pub type Admit = fn(request: &AdmissionRequest<'_>, object: &mut Value) -> Result<(), String>;
