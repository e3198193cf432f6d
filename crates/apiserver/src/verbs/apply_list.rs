//! PATCH of a collection: server-side apply of every object of a list.
//!
//! The one request that the Kubernetes API does not have. Each object is judged as by an apply of its own; what passes
//! is stored in one commit, so that thousands of objects do not cost as many requests and commits. An object that is
//! refused is named in the answer and leaves the others as they are.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::prepare::{self, Ownership};
use super::write::{self, Completed};
use super::{Outcome, options};
use crate::call::Call;
use crate::endpoint::{self, Place, Verb};
use crate::meta::Meta;
use crate::patch::PatchKind;
use crate::status::{ApiError, ItemFailure};
use crate::storage::{Pending, Stored, WriteError};

/// Applies the objects of `list`.
pub(crate) async fn apply_list(call: &mut Call, media: &str, list: Value) -> Result<Outcome, ApiError> {
    if PatchKind::of(media) != Some(PatchKind::Apply) {
        // As Kubernetes answers every PATCH of a collection.
        let verbs = endpoint::verbs(call.found.kind.origin, Place::Collection);
        let others: Vec<Verb> = verbs
            .iter()
            .copied()
            .filter(|verb| *verb != Verb::Patch)
            .collect();
        return Err(ApiError::method_not_allowed(endpoint::allow(&others)));
    }
    options::check_patch(call, PatchKind::Apply)?;
    let items = items(call, list)?;
    let count = items.len();
    let mut applied = Applied::default();
    for (index, item) in items.into_iter().enumerate() {
        call.target.name = Some(item.name().to_owned());
        if let Err(error) = applied.judge(call, index, item) {
            applied
                .failures
                .push(ItemFailure::new(index, call.name(), &error));
        }
    }
    applied.store(call).await;
    call.target.name = None;
    let Applied { mut failures, .. } = applied;
    if !failures.is_empty() {
        failures.sort_by_key(|failure| failure.index);
        let kind = &call.found.kind;
        return Err(ApiError::not_all_applied(
            &kind.group,
            &kind.plural,
            count,
            &failures,
        ));
    }
    Ok(Outcome::Status(
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
    ))
}

/// The objects of a list, each with a name of its own.
fn items(call: &Call, mut list: Value) -> Result<Vec<Value>, ApiError> {
    prepare::shape_as(
        call,
        &mut list,
        &call.found.api_version(),
        &call.found.kind.list_kind,
    )?;
    let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else {
        return Err(ApiError::bad_request(
            "items: the list of objects to apply is missing",
        ));
    };
    let mut names = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let name = item.name();
        if name.is_empty() {
            return Err(ApiError::bad_request(format!(
                "items[{index}].metadata.name: an object to apply needs a name"
            )));
        }
        if !names.insert(name) {
            return Err(ApiError::bad_request(format!(
                "items[{index}].metadata.name: {name:?} is in the list twice"
            )));
        }
    }
    Ok(items)
}

/// An object that passed, with what it was made of.
struct Passed {
    index: usize,
    config: Value,
    /// What is to be stored; none where the object has to be applied by itself.
    pending: Option<Pending>,
}

/// What became of the objects so far.
#[derive(Default)]
struct Applied {
    passed: Vec<Passed>,
    failures: Vec<ItemFailure>,
}

impl Applied {
    /// Judges the object that the call names.
    fn judge(&mut self, call: &mut Call, index: usize, config: Value) -> Result<(), ApiError> {
        let warnings = std::mem::take(&mut call.warnings);
        let current = call.stored()?;
        let pending = pending(call, current.as_deref(), &config);
        let new = std::mem::replace(&mut call.warnings, warnings);
        for warning in new {
            // Once for all objects: they often have it in common.
            if !call.warnings.contains(&warning) {
                call.warnings.push(warning);
            }
        }
        let pending = match pending? {
            Verdict::Nothing => return Ok(()),
            Verdict::Together(pending) => Some(pending),
            Verdict::Alone => None,
        };
        self.passed.push(Passed {
            index,
            config,
            pending,
        });
        Ok(())
    }

    /// Stores what has passed: together, or one by one what has lost a race.
    async fn store(&mut self, call: &mut Call) {
        let mut alone = Vec::new();
        let (mut together, mut writes) = (Vec::new(), Vec::new());
        for Passed {
            index,
            config,
            pending,
        } in std::mem::take(&mut self.passed)
        {
            match pending {
                Some(pending) => {
                    writes.push(pending);
                    together.push((index, config));
                }
                None => alone.push((index, config)),
            }
        }
        match call.core.storage.write_all(writes).await {
            Ok(written) => self.after_write(call, &together, &written).await,
            Err(WriteError::Exists | WriteError::Conflict) => alone.append(&mut together),
            Err(error) => {
                for (index, config) in &together {
                    let error = write::failed(call, config.name(), error.clone());
                    self.failures
                        .push(ItemFailure::new(*index, config.name(), &error));
                }
            }
        }
        for (index, config) in alone {
            call.target.name = Some(config.name().to_owned());
            if let Err(error) = write::patch_in_turn(call, PatchKind::Apply, &config).await {
                self.failures.push(ItemFailure::new(index, config.name(), &error));
            }
        }
    }

    /// As after each write.
    async fn after_write(&mut self, call: &Call, applied: &[(usize, Value)], written: &[Arc<Stored>]) {
        call.core.after_write(&call.found.kind.resource);
        for ((index, _), written) in applied.iter().zip(written) {
            let is_new = written.created == written.version;
            if is_new && let Err(error) = write::stays(call, written).await {
                self.failures
                    .push(ItemFailure::new(*index, written.name(), &error));
            }
        }
    }
}

/// What is to be done with an object that passed.
enum Verdict {
    Nothing,
    Together(Pending),
    Alone,
}

fn pending(call: &mut Call, current: Option<&Stored>, config: &Value) -> Result<Verdict, ApiError> {
    let object = write::applied(call, current, config.clone())?;
    let (expected, object) = match current {
        None => {
            let object = prepare::finish(call, None, object, Ownership::Applied)?;
            if call.query.dry_run {
                return Ok(Verdict::Nothing);
            }
            (None, call.found.kind.to_stored(object))
        }
        Some(current) => match write::completed(call, current, object, Ownership::Applied)? {
            Completed::Nothing(_) => return Ok(Verdict::Nothing),
            Completed::Written(object) if write::is_gone(call, &object) => return Ok(Verdict::Alone),
            Completed::Written(object) => (Some(current.version), object),
        },
    };
    let pending = call.core.storage.pending(call.key(), expected, object);
    let pending = pending.map_err(|error| write::failed(call, call.name(), error))?;
    Ok(Verdict::Together(pending))
}
