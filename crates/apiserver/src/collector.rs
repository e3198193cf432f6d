//! Background work after deletions: dependents by ownerReferences, contents of namespaces, objects of definitions,
//! old events and tombstones.
//!
//! Level-triggered: a change only says which objects to look at, and what is done follows from the state at that
//! moment. A look whose writes did not all succeed is repeated. At start every object is looked at once, which
//! finishes what a crash left.

mod events;
mod owners;
mod queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::call::Core;
use crate::definitions;
use crate::kinds::{Origin, Registry, TakenNames, accept, names_accepted};
use crate::meta::Meta;
use crate::meta::deletion::{self, FOREGROUND, INSTANCES, ORPHAN, Propagation, Removal};
use crate::storage::{Key, Stored, Touched, WriteError};
use owners::{Place, Standing, Verdict};
use queue::{Look, Queue};

/// How often old events and tombstones are looked at.
const SWEEP: Duration = Duration::from_secs(300);
/// Writes of one look at the same time; they share commits.
const TOGETHER: usize = 32;

/// Runs until cancelled.
pub(crate) async fn run(core: Arc<Core>, cancel: CancellationToken) {
    let mut changed = core.storage.subscribe_all();
    let mut kinds = core.subscribe_kinds();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut queue = Queue::default();
    while !cancel.is_cancelled() {
        changed.mark_unchanged();
        enqueue(&core, &core.storage.take_touched(), &mut queue);
        if let Some(key) = queue.next(Instant::now()) {
            let look = look(&core, &key, Timestamp::now()).await;
            queue.looked(key, look, Instant::now());
            continue;
        }
        let due = queue.next_due().unwrap_or_else(|| Instant::now() + SWEEP);
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = sweep.tick() => prune(&core).await,
            changed = changed.changed() => if changed.is_err() { return },
            // The kind of an owner may be served now.
            changed = kinds.changed() => {
                if changed.is_err() { return }
                core.storage.owned().into_iter().for_each(|key| queue.add(key));
            }
            () = tokio::time::sleep_until(due.into()) => {}
        }
    }
}

/// Queues what a change may matter to: the object itself, its dependents and owners, its namespace and definition.
fn enqueue(core: &Core, touched: &Touched, queue: &mut Queue) {
    let storage = &core.storage;
    let is_terminating = |key: &Key| storage.get(key).is_some_and(|object| object.is_terminating());
    let dependents = touched.gone.iter().flat_map(|uid| storage.dependents(uid));
    dependents.for_each(|key| queue.add(key));
    let owners = touched.owners.iter().filter_map(|uid| storage.key_of(uid));
    owners.filter(is_terminating).for_each(|key| queue.add(key));
    let mut keys = touched.keys.iter();
    if let Some(definition) = keys.find(|key| &*key.resource == definitions::RESOURCE) {
        // A name may be free now.
        let all = keyed(core, &definition.resource, None).into_iter();
        let waiting = all.filter(|(_, definition)| !names_accepted(&definition.value()));
        waiting.for_each(|(key, _)| queue.add(key));
    }
    for key in &touched.keys {
        let namespace = Key::cluster_scoped("namespaces", &key.namespace);
        let definition = Key::cluster_scoped(definitions::RESOURCE, &key.resource);
        for parent in [namespace, definition].into_iter().filter(is_terminating) {
            queue.add(parent);
        }
        let Some(object) = storage.get(key) else { continue };
        let terminating = object.is_terminating();
        if terminating && holds(&object, FOREGROUND) {
            let dependents = storage.dependents(object.uid());
            dependents.into_iter().for_each(|key| queue.add(key));
        }
        if terminating || object.owners().next().is_some() {
            queue.add(key.clone());
        }
    }
}

/// Does for one object what its state asks for.
async fn look(core: &Core, key: &Key, now: Timestamp) -> Look {
    let Some(object) = core.storage.get(key) else {
        return Look::Rest;
    };
    if !object.is_terminating() {
        if &*key.resource == definitions::RESOURCE && !names_accepted(&object.value()) {
            return accept_names(core, key, &object, now).await;
        }
        return judge(core, key, &object, now).await;
    }
    let value = object.value();
    let finalizers = value.finalizers();
    let look = if finalizers.contains(&INSTANCES) && &*key.resource == definitions::RESOURCE {
        delete_instances(core, key, &object, now).await
    } else if finalizers.contains(&ORPHAN) {
        orphan_dependents(core, key, &object).await
    } else if finalizers.contains(&FOREGROUND) {
        finish_foreground(core, key, &object).await
    } else {
        Look::Rest
    };
    if &*key.resource == "namespaces" {
        return look.and(empty_namespace(core, key, &object, now).await);
    }
    look
}

/// Deletes an object whose owners are gone; drops references to those that are.
async fn judge(core: &Core, key: &Key, object: &Stored, now: Timestamp) -> Look {
    let (storage, kinds) = (&core.storage, core.registry());
    let value = object.value();
    let standing = |reference: &Value| {
        let uid = reference["uid"].as_str().unwrap_or("");
        let found = owner_key(&kinds, reference, key).map(|key| key.and_then(|key| storage.get(&key)));
        let found = found.map(|found| found.map(|stored| stored.value()));
        let place = match &found {
            Ok(found) => Place::Served(found.as_ref()),
            Err(place) => *place,
        };
        let departed = storage.is_departed(uid);
        (
            uid.to_owned(),
            owners::standing(reference, &value, place, departed, now),
        )
    };
    let standings: Vec<(String, Standing)> = value.owners().iter().map(standing).collect();
    let dependents = storage.dependents(object.uid());
    match owners::verdict(&standings, !dependents.is_empty()) {
        Verdict::Stay => Look::Rest,
        Verdict::Later(wait) => Look::Later(wait),
        Verdict::Drop(uids) => {
            let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
            let mut changed = object.value();
            deletion::remove_owners(&mut changed, &uids);
            ended(
                key,
                storage
                    .update(key.clone(), object.version, changed)
                    .await
                    .map(drop),
            )
        }
        Verdict::Delete(policy) => {
            // Owners in a circle would wait for each other.
            let circle = policy == Some(Propagation::Foreground)
                && dependents.iter().any(|key| waits_for_dependents(core, key));
            ended(key, delete(core, key, object, policy, circle, now).await)
        }
    }
}

/// Gives a definition names that have become free.
async fn accept_names(core: &Core, key: &Key, definition: &Stored, now: Timestamp) -> Look {
    let all = core.storage.list(definitions::RESOURCE, None).objects;
    let all: Vec<Value> = all.iter().map(|stored| stored.value()).collect();
    let value = definition.value();
    let taken = TakenNames::beside(&value, all.iter());
    let mut changed = value.clone();
    accept(&mut changed, &value["status"], &taken, now);
    if changed == value {
        return Look::Rest;
    }
    let done = core
        .storage
        .update(key.clone(), definition.version, changed)
        .await;
    core.after_write(&key.resource);
    ended(key, done.map(drop))
}

fn waits_for_dependents(core: &Core, key: &Key) -> bool {
    let object = core.storage.get(key);
    object.is_some_and(|object| object.is_terminating() && holds(&object, FOREGROUND))
}

/// Whether an object has this finalizer.
fn holds(object: &Stored, finalizer: &str) -> bool {
    object.has_finalizers() && object.value().finalizers().contains(&finalizer)
}

/// Where the owner of `dependent` is stored that a reference names; `None` when its name is empty.
fn owner_key(kinds: &Registry, reference: &Value, dependent: &Key) -> Result<Option<Key>, Place<'static>> {
    let text = |field: &str| reference[field].as_str().unwrap_or("");
    let kind = kinds
        .of_kind(text("apiVersion"), text("kind"))
        .ok_or(Place::NotServed)?;
    if !matches!(kind.origin, Origin::Builtin | Origin::Custom) {
        return Err(Place::NotServed);
    }
    if kind.namespaced && dependent.namespace.is_empty() {
        return Err(Place::WrongScope);
    }
    let namespace = if kind.namespaced {
        dependent.namespace.as_str()
    } else {
        ""
    };
    Ok((!text("name").is_empty()).then(|| Key {
        resource: kind.resource.clone(),
        namespace: namespace.to_owned(),
        name: text("name").to_owned(),
    }))
}

/// Deletes an object, or marks it when finalizers hold it.
async fn delete(
    core: &Core,
    key: &Key,
    object: &Stored,
    policy: Option<Propagation>,
    unblock: bool,
    now: Timestamp,
) -> Result<(), WriteError> {
    let before = object.value();
    let mut changed = before.clone();
    let removal = deletion::begin(&mut changed, policy, now);
    if unblock {
        deletion::unblock_owners(&mut changed);
    }
    match removal {
        Removal::Now => core.storage.delete(key.clone(), object.version, changed).await?,
        Removal::Later if changed == before => return Ok(()),
        Removal::Later => core.storage.update(key.clone(), object.version, changed).await?,
    };
    core.after_write(&key.resource);
    Ok(())
}

/// Deletes objects, some at a time.
async fn delete_all(core: &Core, objects: Vec<(Key, Arc<Stored>)>, now: Timestamp) -> Look {
    let deletions = objects.into_iter().map(|(key, object)| async move {
        let done = delete(core, &key, &object, None, false, now).await;
        ended(&key, done)
    });
    let looks = stream::iter(deletions).buffer_unordered(TOGETHER);
    looks
        .fold(Look::Rest, |all, one| async move { all.and(one) })
        .await
}

/// Deletes what is in a namespace, then the namespace.
///
/// Objects without finalizers wait for those with: their controllers need Secrets and the like to finish.
async fn empty_namespace(core: &Core, key: &Key, namespace: &Stored, now: Timestamp) -> Look {
    let contents = contents(core, &key.name);
    if contents.is_empty() {
        if namespace.has_finalizers() {
            return Look::Rest;
        }
        let last = namespace.value();
        let done = core.storage.delete(key.clone(), namespace.version, last).await;
        return ended(key, done.map(drop));
    }
    let (held, free): (Vec<_>, Vec<_>) = contents
        .into_iter()
        .partition(|(_, object)| object.has_finalizers());
    if held.is_empty() {
        return delete_all(core, free, now).await;
    }
    let unmarked = held.into_iter().filter(|(_, object)| !object.is_terminating());
    delete_all(core, unmarked.collect(), now).await
}

fn contents(core: &Core, namespace: &str) -> Vec<(Key, Arc<Stored>)> {
    let kinds = core.registry();
    let stored = kinds
        .kinds()
        .iter()
        .filter(|kind| kind.namespaced && kind.renames.is_empty());
    let objects = stored.flat_map(|kind| keyed(core, &kind.resource, Some(namespace)));
    objects.collect()
}

fn keyed(core: &Core, resource: &Arc<str>, namespace: Option<&str>) -> Vec<(Key, Arc<Stored>)> {
    let objects = core.storage.list(resource, namespace).objects.into_iter();
    let key_of = |object: &Stored| Key {
        resource: resource.clone(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
    };
    objects.map(|object| (key_of(&object), object)).collect()
}

/// Deletes the objects of a definition that is being deleted. Those of a built-in kind are none of its own.
async fn delete_instances(core: &Core, key: &Key, definition: &Stored, now: Timestamp) -> Look {
    let kinds = core.registry();
    let mut builtin = kinds.kinds().iter().filter(|kind| kind.origin == Origin::Builtin);
    let objects = if builtin.any(|kind| *kind.resource == *key.name) {
        Vec::new()
    } else {
        keyed(core, &Arc::from(key.name.as_str()), None)
    };
    if objects.is_empty() {
        return ended(key, without_finalizer(core, key, definition, INSTANCES).await);
    }
    delete_all(core, objects, now).await
}

/// Frees the dependents of an owner that leaves them; it goes only when none names it any more.
async fn orphan_dependents(core: &Core, key: &Key, owner: &Stored) -> Look {
    let uid = owner.uid();
    let writes = core
        .storage
        .dependents(uid)
        .into_iter()
        .map(|dependent| async move {
            let Some(object) = core.storage.get(&dependent) else {
                return Look::Rest;
            };
            let mut changed = object.value();
            deletion::remove_owners(&mut changed, &[uid]);
            let done = core
                .storage
                .update(dependent.clone(), object.version, changed)
                .await;
            ended(&dependent, done.map(drop))
        });
    let looks = stream::iter(writes).buffer_unordered(TOGETHER);
    let look = looks
        .fold(Look::Rest, |all, one| async move { all.and(one) })
        .await;
    match look {
        Look::Rest if core.storage.dependents(uid).is_empty() => {
            ended(key, without_finalizer(core, key, owner, ORPHAN).await)
        }
        Look::Rest => Look::Race,
        other => other,
    }
}

/// Ends a foreground deletion for which no dependent is left that blocks it.
async fn finish_foreground(core: &Core, key: &Key, owner: &Stored) -> Look {
    let uid = owner.uid();
    let blocks = |key: &Key| {
        core.storage
            .get(key)
            .is_some_and(|object| deletion::blocks(&object.value(), uid))
    };
    if core.storage.dependents(uid).iter().any(blocks) {
        return Look::Rest;
    }
    ended(key, without_finalizer(core, key, owner, FOREGROUND).await)
}

/// Takes a finalizer away; the object goes when it was the last.
async fn without_finalizer(
    core: &Core,
    key: &Key,
    object: &Stored,
    finalizer: &str,
) -> Result<(), WriteError> {
    let mut changed = object.value();
    deletion::remove_finalizer(&mut changed, finalizer);
    // A namespace goes when it is empty.
    if changed.finalizers().is_empty() && &*key.resource != "namespaces" {
        core.storage.delete(key.clone(), object.version, changed).await?;
    } else {
        core.storage.update(key.clone(), object.version, changed).await?;
    }
    core.after_write(&key.resource);
    Ok(())
}

async fn prune(core: &Core) {
    let now = Timestamp::now();
    let mut over = keyed(core, &Arc::from("events"), None);
    over.retain(|(_, event)| events::is_over(&event.value(), now));
    // What does not succeed is over at the next sweep, too.
    delete_all(core, over, now).await;
    if let Err(error) = core.storage.prune_tombstones().await {
        tracing::warn!(error = %error, "old tombstones could not be removed");
    }
}

/// How a write ends a look.
fn ended(key: &Key, done: Result<(), WriteError>) -> Look {
    match done {
        Ok(()) => Look::Rest,
        Err(WriteError::Conflict | WriteError::Exists) => Look::Race,
        Err(error) => {
            tracing::warn!(error = %error, object = %key, "an object could not be collected; it is tried again");
            Look::Failed
        }
    }
}
