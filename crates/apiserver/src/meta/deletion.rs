//! What a deletion does to an object: finalizers by propagation policy, the deletion mark, references to owners. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Meta, as_map, meta_mut, set_meta, time};

/// Finalizer of a deletion that waits for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of a deletion that leaves its dependents.
pub(crate) const ORPHAN: &str = "orphan";
/// Finalizer of a definition whose objects still have to go.
pub(crate) const INSTANCES: &str = "customresourcecleanup.apiextensions.k8s.io";

/// `propagationPolicy`: what becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// What a deletion comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Nothing holds the object: it goes now.
    Now,
    /// It stays until its finalizers, or the contents of the namespace, are gone.
    Later,
}

/// Begins or repeats a deletion. Without a policy the finalizers that the object has decide.
pub(crate) fn begin(object: &mut Value, policy: Option<Propagation>, now: Timestamp) -> Removal {
    set_propagation(object, policy);
    if is_definition(object) && !object.is_terminating() {
        add_finalizer(object, INSTANCES);
    }
    if object.finalizers().is_empty() && !is_namespace(object) {
        return Removal::Now;
    }
    if !object.is_terminating() {
        mark(object, now);
    }
    Removal::Later
}

fn set_propagation(object: &mut Value, policy: Option<Propagation>) {
    let Some(policy) = policy else { return };
    for finalizer in [FOREGROUND, ORPHAN] {
        remove_finalizer(object, finalizer);
    }
    match policy {
        Propagation::Foreground => add_finalizer(object, FOREGROUND),
        Propagation::Orphan => add_finalizer(object, ORPHAN),
        Propagation::Background => {}
    }
}

fn is_namespace(object: &Value) -> bool {
    object["kind"] == "Namespace" && object["apiVersion"] == "v1"
}

fn is_definition(object: &Value) -> bool {
    object["kind"] == "CustomResourceDefinition" && object["apiVersion"] == "apiextensions.k8s.io/v1"
}

fn mark(object: &mut Value, now: Timestamp) {
    set_meta(object, "deletionTimestamp", Some(time::stamp(now).into()));
    set_meta(object, "deletionGracePeriodSeconds", Some(0.into()));
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        set_meta(object, "generation", Some((generation + 1).into()));
    }
    if is_namespace(object) {
        as_map(&mut object["status"]).insert("phase".to_owned(), "Terminating".into());
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let list = meta_mut(object).entry("finalizers").or_insert_with(|| json!([]));
    if let Value::Array(list) = list
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(finalizer.into());
    }
}

/// Takes a finalizer away; the field goes with the last one.
pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let meta = meta_mut(object);
    if let Some(Value::Array(list)) = meta.get_mut("finalizers") {
        list.retain(|f| f != finalizer);
        if list.is_empty() {
            meta.remove("finalizers");
        }
    }
}

/// Takes references to these owners away; the field goes with the last one.
pub(crate) fn remove_owners(object: &mut Value, uids: &[&str]) {
    let meta = meta_mut(object);
    if let Some(Value::Array(list)) = meta.get_mut("ownerReferences") {
        list.retain(|owner| !owner["uid"].as_str().is_some_and(|uid| uids.contains(&uid)));
        if list.is_empty() {
            meta.remove("ownerReferences");
        }
    }
}

/// True when the deletion of the owner `uid` waits for this object.
pub(crate) fn blocks(object: &Value, uid: &str) -> bool {
    let owners = object.owners().iter();
    owners
        .filter(|owner| owner["uid"] == uid)
        .any(|owner| owner["blockOwnerDeletion"] == true)
}

/// No owner waits for this object any more.
pub(crate) fn unblock_owners(object: &mut Value) {
    if let Some(Value::Array(list)) = meta_mut(object).get_mut("ownerReferences") {
        for owner in list {
            as_map(owner).insert("blockOwnerDeletion".to_owned(), false.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The finalizers are those of `deletionFinalizersForGarbageCollection` of the Kubernetes API machinery.
    #[test]
    fn policies_set_finalizers() {
        use Propagation::{Background, Foreground, Orphan};
        for (before, policy, after, expected) in [
            (json!([]), None, None, Removal::Now),
            (json!([]), Some(Background), None, Removal::Now),
            (
                json!([]),
                Some(Foreground),
                Some(json!([FOREGROUND])),
                Removal::Later,
            ),
            (json!([]), Some(Orphan), Some(json!([ORPHAN])), Removal::Later),
            (json!([ORPHAN]), None, Some(json!([ORPHAN])), Removal::Later),
            (
                json!([ORPHAN]),
                Some(Foreground),
                Some(json!([FOREGROUND])),
                Removal::Later,
            ),
            (
                json!([FOREGROUND]),
                Some(Orphan),
                Some(json!([ORPHAN])),
                Removal::Later,
            ),
            (json!([FOREGROUND]), Some(Background), None, Removal::Now),
            (
                json!(["a/b"]),
                Some(Background),
                Some(json!(["a/b"])),
                Removal::Later,
            ),
        ] {
            let mut object =
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": before}});
            if before == json!([]) {
                set_meta(&mut object, "finalizers", None);
            }
            assert_eq!(
                begin(&mut object, policy, Timestamp::UNIX_EPOCH),
                expected,
                "{before} {policy:?}"
            );
            assert_eq!(
                object["metadata"].get("finalizers"),
                after.as_ref(),
                "{before} {policy:?}"
            );
            assert_eq!(
                object.is_terminating(),
                expected == Removal::Later,
                "{before} {policy:?}"
            );
        }
    }

    #[test]
    fn a_definition_waits_for_its_objects_once() {
        let mut object = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"generation": 1}});
        assert_eq!(begin(&mut object, None, Timestamp::UNIX_EPOCH), Removal::Later);
        assert_eq!(object.finalizers(), [INSTANCES]);
        assert_eq!(object["metadata"]["generation"], 2);
        remove_finalizer(&mut object, INSTANCES);
        assert_eq!(begin(&mut object, None, Timestamp::UNIX_EPOCH), Removal::Now);
    }

    #[test]
    fn owners_go_and_stop_waiting() {
        let mut object = json!({"metadata": {"ownerReferences": [
            {"uid": "a", "blockOwnerDeletion": true}, {"uid": "b"}]}});
        assert!(blocks(&object, "a") && !blocks(&object, "b") && !blocks(&object, "c"));
        unblock_owners(&mut object);
        assert!(!blocks(&object, "a"));
        remove_owners(&mut object, &["a"]);
        assert_eq!(object.owners().len(), 1);
        remove_owners(&mut object, &["b"]);
        assert_eq!(object, json!({"metadata": {}}));
    }
}
