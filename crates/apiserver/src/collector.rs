//! Background work after deletions: dependents by ownerReferences, contents of namespaces, objects of definitions,
//! old events and tombstones.
//!
//! Everything here is idempotent and decided from the state in memory; at start one sweep finds what a crash left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::definitions;
use crate::meta::{Meta, meta_mut, set_meta, time};
use crate::service::Core;
use crate::storage::{Key, Stored, WriteError};
use crate::verbs::delete::{FOREGROUND, INSTANCES, ORPHAN};

/// How often old events and tombstones are looked at.
const SWEEP: Duration = Duration::from_secs(300);
/// Life of an Event.
const EVENT_SECONDS: i64 = 3600;

/// Runs until cancelled.
pub(crate) async fn run(core: Arc<Core>, cancel: CancellationToken) {
    let mut changed = core.storage.subscribe_all();
    let mut sweep = tokio::time::interval(SWEEP);
    // Owners in foreground deletion whose dependents are still there.
    let mut waiting = BTreeSet::new();
    for key in core.storage.keys() {
        look_at_start(&core, key, &mut waiting).await;
    }
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = sweep.tick() => prune(&core).await,
            changed = changed.changed() => if changed.is_err() { return },
        }
        handle(&core, &mut waiting).await;
    }
}

async fn handle(core: &Core, waiting: &mut BTreeSet<Key>) {
    let work = core.storage.take_deletions();
    for uid in &work.gone {
        for key in core.storage.dependents(uid) {
            owners_checked(core, &key).await;
        }
    }
    for key in &work.owned {
        owners_checked(core, key).await;
    }
    for key in &work.marked {
        marked(core, key, waiting).await;
    }
    // A deletion may have been the last thing that a terminating parent waited for.
    if !work.gone.is_empty() {
        for resource in ["namespaces", definitions::RESOURCE] {
            for object in core.storage.list(resource, None).objects {
                if object.value.is_terminating() {
                    marked(core, &key_of(resource, &object.value), waiting).await;
                }
            }
        }
        finish_foreground(core, waiting).await;
    }
}

async fn look_at_start(core: &Core, key: Key, waiting: &mut BTreeSet<Key>) {
    let Some(object) = core.storage.get(&key) else {
        return;
    };
    if object.value.is_terminating() {
        marked(core, &key, waiting).await;
    } else if !object.value.owners().is_empty() {
        owners_checked(core, &key).await;
    }
}

fn key_of(resource: &str, object: &Value) -> Key {
    Key {
        resource: Arc::from(resource),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
    }
}

/// Deletes an object whose owners are all gone; drops references to those that are.
async fn owners_checked(core: &Core, key: &Key) {
    let Some(object) = core.storage.get(key) else {
        return;
    };
    let owners = object.value.owners();
    let lives = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| core.storage.lives(uid));
    let alive: Vec<Value> = owners.iter().filter(|o| lives(o)).cloned().collect();
    if owners.is_empty() || alive.len() == owners.len() {
        return;
    }
    let done = if alive.is_empty() {
        delete(core, key, &object).await
    } else {
        let mut changed = object.value.clone();
        set_meta(&mut changed, "ownerReferences", Some(Value::Array(alive)));
        core.storage
            .update(key.clone(), object.version, changed)
            .await
            .map(drop)
    };
    report(key, done);
}

/// Deletes an object, or marks it when finalizers hold it.
async fn delete(core: &Core, key: &Key, object: &Stored) -> Result<(), WriteError> {
    let value = &object.value;
    if value.finalizers().is_empty() && &*key.resource != "namespaces" {
        core.storage
            .delete(key.clone(), object.version, value.clone())
            .await?;
        core.after_write(&key.resource);
        return Ok(());
    }
    if value.is_terminating() {
        return Ok(());
    }
    let mut marked = value.clone();
    set_meta(
        &mut marked,
        "deletionTimestamp",
        Some(time::stamp(Timestamp::now()).into()),
    );
    set_meta(&mut marked, "deletionGracePeriodSeconds", Some(0.into()));
    core.storage
        .update(key.clone(), object.version, marked)
        .await
        .map(drop)
}

/// Does what a marked object waits for, as far as it is ours.
async fn marked(core: &Core, key: &Key, waiting: &mut BTreeSet<Key>) {
    let Some(object) = core.storage.get(key).filter(|o| o.value.is_terminating()) else {
        return;
    };
    if &*key.resource == "namespaces" {
        return empty_namespace(core, key, &object).await;
    }
    let finalizers = object.value.finalizers();
    if finalizers.contains(&INSTANCES) {
        let instances = core.storage.list(&key.name, None).objects;
        if delete_all(core, &key.name, &instances).await {
            report(key, without_finalizer(core, key, INSTANCES).await);
        }
    } else if finalizers.contains(&ORPHAN) {
        for dependent in core.storage.dependents(object.value.uid()) {
            report(
                &dependent,
                without_owner(core, &dependent, object.value.uid()).await,
            );
        }
        report(key, without_finalizer(core, key, ORPHAN).await);
    } else if finalizers.contains(&FOREGROUND) {
        let uid = object.value.uid();
        let dependents = core.storage.dependents(uid);
        for dependent in &dependents {
            let Some(found) = core.storage.get(dependent) else {
                continue;
            };
            report(dependent, delete(core, dependent, &found).await);
        }
        waiting.insert(key.clone());
        finish_foreground(core, waiting).await;
    }
}

/// Owners whose foreground deletion waits for nothing any more.
async fn finish_foreground(core: &Core, waiting: &mut BTreeSet<Key>) {
    for key in waiting.clone() {
        let Some(object) = core.storage.get(&key) else {
            waiting.remove(&key);
            continue;
        };
        if core.storage.dependents(object.value.uid()).is_empty() {
            report(&key, without_finalizer(core, &key, FOREGROUND).await);
        }
    }
}

async fn empty_namespace(core: &Core, key: &Key, object: &Stored) {
    let mut left = false;
    for kind in core
        .registry()
        .kinds()
        .iter()
        .filter(|k| k.namespaced && k.renames.is_empty())
    {
        let contents = core.storage.list(&kind.resource, Some(&key.name)).objects;
        left |= !delete_all(core, &kind.resource, &contents).await;
    }
    if !left && object.value.finalizers().is_empty() {
        let done = core
            .storage
            .delete(key.clone(), object.version, object.value.clone())
            .await;
        report(key, done.map(drop));
    }
}

/// True when nothing is left of the list.
async fn delete_all(core: &Core, resource: &str, objects: &[Arc<Stored>]) -> bool {
    for object in objects {
        let key = key_of(resource, &object.value);
        report(&key, delete(core, &key, object).await);
    }
    objects
        .iter()
        .all(|o| core.storage.get(&key_of(resource, &o.value)).is_none())
}

/// Takes a finalizer away; the object goes when it was the last.
async fn without_finalizer(core: &Core, key: &Key, finalizer: &str) -> Result<(), WriteError> {
    let Some(object) = core.storage.get(key) else {
        return Ok(());
    };
    let mut changed = object.value.clone();
    if let Some(Value::Array(list)) = meta_mut(&mut changed).get_mut("finalizers") {
        list.retain(|f| f != finalizer);
    }
    if changed.finalizers().is_empty() {
        set_meta(&mut changed, "finalizers", None);
        core.storage.delete(key.clone(), object.version, changed).await?;
    } else {
        core.storage.update(key.clone(), object.version, changed).await?;
    }
    core.after_write(&key.resource);
    Ok(())
}

async fn without_owner(core: &Core, key: &Key, uid: &str) -> Result<(), WriteError> {
    let Some(object) = core.storage.get(key) else {
        return Ok(());
    };
    let mut changed = object.value.clone();
    let left: Vec<Value> = changed
        .owners()
        .iter()
        .filter(|o| o["uid"] != uid)
        .cloned()
        .collect();
    let left = (!left.is_empty()).then_some(Value::Array(left));
    set_meta(&mut changed, "ownerReferences", left);
    core.storage
        .update(key.clone(), object.version, changed)
        .await
        .map(drop)
}

async fn prune(core: &Core) {
    let oldest = Timestamp::now().as_second() - EVENT_SECONDS;
    for event in core.storage.list("events", None).objects {
        if is_older(&event.value, oldest) {
            let key = key_of("events", &event.value);
            report(&key, delete(core, &key, &event).await);
        }
    }
    if let Err(error) = core.storage.prune_tombstones().await {
        tracing::warn!(error = %error, "old tombstones could not be removed");
    }
}

/// Whether an Event was made, and counted on last, before this second.
fn is_older(event: &Value, second: i64) -> bool {
    let last = event["lastTimestamp"].as_str();
    let last = last.unwrap_or_else(|| event.meta_str("creationTimestamp"));
    last.parse::<Timestamp>()
        .is_ok_and(|last| last.as_second() < second)
}

/// A lost race needs no words: the change that won wakes the collector again.
fn report(key: &Key, done: Result<(), WriteError>) {
    if let Err(WriteError::Store(error)) = done {
        tracing::warn!(error = %error, object = %key, "an object could not be collected");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_lives_from_its_last_count() {
        let second = "2026-01-01T01:00:00Z".parse::<Timestamp>().unwrap().as_second();
        let event = |made: &str, last: Option<&str>| json!({"metadata": {"creationTimestamp": made}, "lastTimestamp": last});
        let (old, new) = ("2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z");
        for (made, last, expected) in [
            (old, None, true),
            (new, None, false),
            (old, Some(old), true),
            (old, Some(new), false),
            ("", None, false),
        ] {
            assert_eq!(is_older(&event(made, last), second), expected, "{made} {last:?}");
        }
    }
}
