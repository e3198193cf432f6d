//! Dicts, which change in place.

use std::cell::RefCell;
use std::rc::Rc;

use super::native::{Native, Outcome, at};
use crate::failure::Failure;
use crate::value::{Map, Value};

pub(super) const TABLE: &[Native] = &[
    ("dict", dict),
    ("set", set),
    ("unset", unset),
    ("get", get),
    ("hasKey", has_key),
    ("keys", keys),
    ("values", |a| {
        Ok(Value::list(map(a, 0)?.borrow().values().cloned()))
    }),
    ("pick", |a| chosen(a, true)),
    ("omit", |a| chosen(a, false)),
    ("pluck", pluck),
    ("dig", dig),
    ("merge", |a| merged(a, false)),
    ("mustMerge", |a| merged(a, false)),
    ("mergeOverwrite", |a| merged(a, true)),
    ("mustMergeOverwrite", |a| merged(a, true)),
];

/// How deep `merge` goes.
const DEPTH: usize = 64;

fn map(args: &[Value], place: usize) -> Result<&Rc<RefCell<Map>>, Failure> {
    match at(args, place)? {
        Value::Map(entries) => Ok(entries),
        other => Err(format!(
            "argument {} is a dict, not a value of type {}",
            place + 1,
            other.type_name()
        )
        .into()),
    }
}

fn dict(args: &[Value]) -> Outcome {
    let pairs = args.chunks(2).filter_map(|pair| {
        let (key, value) = pair.split_first()?;
        let value = value.first().cloned().unwrap_or_else(|| Value::text(""));
        Some((key.printed(), value))
    });
    Ok(Value::map(pairs))
}

fn set(args: &[Value]) -> Outcome {
    let (entries, key, value) = (map(args, 0)?, at(args, 1)?, at(args, 2)?);
    entries.borrow_mut().insert(key.printed(), value.clone());
    Ok(Value::Map(Rc::clone(entries)))
}

fn unset(args: &[Value]) -> Outcome {
    let entries = map(args, 0)?;
    entries.borrow_mut().remove(&at(args, 1)?.printed());
    Ok(Value::Map(Rc::clone(entries)))
}

fn get(args: &[Value]) -> Outcome {
    let entries = map(args, 0)?.borrow();
    let found = entries.get(&at(args, 1)?.printed()).cloned();
    Ok(found.unwrap_or_else(|| Value::text("")))
}

fn has_key(args: &[Value]) -> Outcome {
    let entries = map(args, 0)?.borrow();
    Ok(Value::Bool(entries.contains_key(&at(args, 1)?.printed())))
}

fn keys(args: &[Value]) -> Outcome {
    let mut found = Vec::new();
    for place in 0..args.len() {
        found.extend(map(args, place)?.borrow().keys().map(Value::text));
    }
    Ok(Value::list(found))
}

fn chosen(args: &[Value], named: bool) -> Outcome {
    let entries = map(args, 0)?.borrow();
    let names: Vec<String> = args.iter().skip(1).map(Value::printed).collect();
    let kept = entries.iter().filter(|(key, _)| names.contains(key) == named);
    Ok(Value::map(kept.map(|(key, value)| (key.clone(), value.clone()))))
}

fn pluck(args: &[Value]) -> Outcome {
    let key = at(args, 0)?.printed();
    let mut found = Vec::new();
    for place in 1..args.len() {
        found.extend(map(args, place)?.borrow().get(&key).cloned());
    }
    Ok(Value::list(found))
}

fn dig(args: &[Value]) -> Outcome {
    let [path @ .., default, value] = args else {
        return Err("takes keys, a default and a dict".into());
    };
    let mut value = value.clone();
    for key in path {
        let Value::Map(entries) = &value else {
            return Err(format!(
                "{:?} is asked of a value of type {}",
                key.printed(),
                value.type_name()
            )
            .into());
        };
        let inner = entries.borrow().get(&key.printed()).cloned();
        match inner {
            Some(inner) => value = inner,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}

fn merged(args: &[Value], overwrite: bool) -> Outcome {
    let into = map(args, 0)?;
    for place in 1..args.len() {
        merge(into, map(args, place)?, overwrite, 0)?;
    }
    Ok(Value::Map(Rc::clone(into)))
}

fn merge(
    into: &Rc<RefCell<Map>>,
    from: &Rc<RefCell<Map>>,
    overwrite: bool,
    depth: usize,
) -> Result<(), Failure> {
    if depth > DEPTH {
        return Err(format!("the dicts are more than {DEPTH} deep").into());
    }
    if Rc::ptr_eq(into, from) {
        return Ok(());
    }
    let from: Vec<(String, Value)> = from
        .borrow()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in from {
        let own = into.borrow().get(&key).cloned();
        match (&own, &value) {
            (Some(Value::Map(own)), Value::Map(other)) => merge(own, other, overwrite, depth + 1)?,
            (Some(own), _) if own.truthy() && !overwrite => {}
            // Sprig's merge keeps what is there where the other one has null.
            (Some(_), Value::Nil) => {}
            _ => {
                into.borrow_mut().insert(key, value);
            }
        }
    }
    Ok(())
}
