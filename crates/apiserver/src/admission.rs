//! Admission: pure functions that may change or refuse an object before it is validated and stored.

use serde_json::Value;

use crate::authn::Identity;
use crate::status::Cause;
use crate::storage::Storage;

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
    /// Namespace; empty for kinds without one.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// "", `status`, or `scale`, whose object is the whole one all the same.
    pub subresource: &'a str,
    /// Who asks.
    pub identity: &'a Identity,
    /// State before, except on create.
    pub old: Option<&'a Value>,
    /// The objects that are stored.
    pub objects: Objects<'a>,
}

/// Reads what is stored besides the object that is written. Another write may come between this look and the end of the
/// request; what must never be wrong is checked again by the controller that acts on it.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a>(pub(crate) &'a Storage);

impl Objects<'_> {
    /// Objects of a resource such as `hardware.tinkerbell.org` in a namespace, in their stored version.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let snapshot = self.0.list(resource, Some(namespace));
        snapshot.objects.iter().map(|stored| stored.value()).collect()
    }

    /// Lists the objects of a resource in all namespaces.
    #[must_use]
    pub fn everywhere(&self, resource: &str) -> Vec<Value> {
        let snapshot = self.0.list(resource, None);
        snapshot.objects.iter().map(|stored| stored.value()).collect()
    }
}

/// Why a hook refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request as a whole is not allowed: 403 with this message.
    Forbidden(String),
    /// Fields of the object are not allowed: 422 with all of them.
    Invalid(Vec<Cause>),
}

/// A hook: changes `object` or refuses. What it returns goes to the client as warnings, one `Warning` header each.
pub type Admit = fn(request: &AdmissionRequest<'_>, object: &mut Value) -> Result<Vec<String>, Refusal>;
