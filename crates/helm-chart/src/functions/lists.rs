//! Lists, whose items are shared.

use super::native::{Native, Outcome, at};
use crate::failure::Failure;
use crate::value::Value;

pub(super) const TABLE: &[Native] = &[
    ("list", |a| Ok(Value::list(a.iter().cloned()))),
    ("tuple", |a| Ok(Value::list(a.iter().cloned()))),
    ("append", append),
    ("mustAppend", append),
    ("push", append),
    ("mustPush", append),
    ("prepend", prepend),
    ("mustPrepend", prepend),
    ("concat", concat),
    ("first", |a| {
        Ok(items(a, 0)?.first().cloned().unwrap_or(Value::Nil))
    }),
    ("mustFirst", |a| {
        Ok(items(a, 0)?.first().cloned().unwrap_or(Value::Nil))
    }),
    ("last", |a| Ok(items(a, 0)?.last().cloned().unwrap_or(Value::Nil))),
    ("mustLast", |a| {
        Ok(items(a, 0)?.last().cloned().unwrap_or(Value::Nil))
    }),
    ("rest", |a| Ok(Value::list(items(a, 0)?.iter().skip(1).cloned()))),
    ("mustRest", |a| {
        Ok(Value::list(items(a, 0)?.iter().skip(1).cloned()))
    }),
    ("initial", initial),
    ("mustInitial", initial),
    ("has", has),
    ("mustHas", has),
    ("without", without),
    ("mustWithout", without),
    ("slice", slice),
    ("mustSlice", slice),
];

/// The items at a position; nil has none.
fn items(args: &[Value], place: usize) -> Result<&[Value], Failure> {
    match at(args, place)? {
        Value::List(items) => Ok(items),
        Value::Nil => Ok(&[]),
        other => Err(format!(
            "argument {} is a list, not a value of type {}",
            place + 1,
            other.type_name()
        )
        .into()),
    }
}

fn append(args: &[Value]) -> Outcome {
    let added = at(args, 1)?.clone();
    Ok(Value::list(items(args, 0)?.iter().cloned().chain([added])))
}

fn prepend(args: &[Value]) -> Outcome {
    let added = at(args, 1)?.clone();
    Ok(Value::list(
        [added].into_iter().chain(items(args, 0)?.iter().cloned()),
    ))
}

fn concat(args: &[Value]) -> Outcome {
    let mut found = Vec::new();
    for place in 0..args.len() {
        found.extend(items(args, place)?.iter().cloned());
    }
    Ok(Value::list(found))
}

fn initial(args: &[Value]) -> Outcome {
    let items = items(args, 0)?;
    Ok(Value::list(
        items.iter().take(items.len().saturating_sub(1)).cloned(),
    ))
}

fn has(args: &[Value]) -> Outcome {
    Ok(Value::Bool(items(args, 1)?.contains(at(args, 0)?)))
}

fn without(args: &[Value]) -> Outcome {
    let kept = items(args, 0)?.iter().filter(|item| !args[1..].contains(item));
    Ok(Value::list(kept.cloned()))
}

fn slice(args: &[Value]) -> Outcome {
    let items = items(args, 0)?;
    let bound = |place: usize, otherwise: usize| {
        let Some(value) = args.get(place) else {
            return Ok(otherwise);
        };
        let number = sprig::args::int_of(&value.to_plain());
        let inside = usize::try_from(number)
            .ok()
            .filter(|number| *number <= items.len());
        inside.ok_or_else(|| Failure::from(format!("{number} is outside of a list of {}", items.len())))
    };
    let (from, to) = (bound(1, 0)?, bound(2, items.len())?);
    let chosen = items.get(from..to);
    let chosen = chosen.ok_or_else(|| format!("{from} is behind {to}"))?;
    Ok(Value::list(chosen.iter().cloned()))
}
