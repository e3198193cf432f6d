//! Lists. Every function gives a new list.

use gotmpl::Value;

use crate::args::{Outcome, arg, count, fail, items, list, piped};
use crate::function::{Function, entry};

pub(crate) const TABLE: &[Function] = &[
    entry(
        "list",
        |a| Ok(list(a.iter().cloned())),
        r#"{{ list 1 "a" }}"#,
        "[1 a]",
    ),
    entry(
        "tuple",
        |a| Ok(list(a.iter().cloned())),
        r#"{{ tuple 1 2 }}"#,
        "[1 2]",
    ),
    entry(
        "first",
        |a| Ok(items(a, 0)?.first().cloned().unwrap_or(Value::Nil)),
        "{{ first (list 1 2) }}",
        "1",
    ),
    entry(
        "mustFirst",
        |a| Ok(items(a, 0)?.first().cloned().unwrap_or(Value::Nil)),
        "{{ mustFirst (list 1 2) }}",
        "1",
    ),
    entry(
        "last",
        |a| Ok(items(a, 0)?.last().cloned().unwrap_or(Value::Nil)),
        "{{ last (list 1 2) }}",
        "2",
    ),
    entry(
        "mustLast",
        |a| Ok(items(a, 0)?.last().cloned().unwrap_or(Value::Nil)),
        "{{ mustLast (list 1 2) }}",
        "2",
    ),
    entry(
        "rest",
        |a| Ok(list(items(a, 0)?.iter().skip(1).cloned())),
        "{{ rest (list 1 2 3) }}",
        "[2 3]",
    ),
    entry(
        "mustRest",
        |a| Ok(list(items(a, 0)?.iter().skip(1).cloned())),
        "{{ mustRest (list 1 2 3) }}",
        "[2 3]",
    ),
    entry("initial", initial, "{{ initial (list 1 2 3) }}", "[1 2]"),
    entry("mustInitial", initial, "{{ mustInitial (list 1 2 3) }}", "[1 2]"),
    entry("append", append, "{{ append (list 1) 2 }}", "[1 2]"),
    entry("push", append, "{{ push (list 1) 2 }}", "[1 2]"),
    entry("mustAppend", append, "{{ mustAppend (list 1) 2 }}", "[1 2]"),
    entry("prepend", prepend, "{{ prepend (list 1) 2 }}", "[2 1]"),
    entry("mustPrepend", prepend, "{{ mustPrepend (list 1) 2 }}", "[2 1]"),
    entry("concat", concat, "{{ concat (list 1) (list 2 3) }}", "[1 2 3]"),
    entry(
        "reverse",
        |a| Ok(list(items(a, 0)?.iter().rev().cloned())),
        "{{ reverse (list 1 2) }}",
        "[2 1]",
    ),
    entry(
        "mustReverse",
        |a| Ok(list(items(a, 0)?.iter().rev().cloned())),
        "{{ mustReverse (list 1 2) }}",
        "[2 1]",
    ),
    entry("uniq", uniq, "{{ uniq (list 1 2 1) }}", "[1 2]"),
    entry("mustUniq", uniq, "{{ mustUniq (list 1 2 1) }}", "[1 2]"),
    entry("without", without, "{{ without (list 1 2 3) 2 }}", "[1 3]"),
    entry(
        "mustWithout",
        without,
        "{{ mustWithout (list 1 2 3) 2 }}",
        "[1 3]",
    ),
    entry("has", has, "{{ has 2 (list 1 2) }}", "true"),
    entry("mustHas", has, "{{ mustHas 3 (list 1 2) }}", "false"),
    entry("compact", compact, r#"{{ compact (list 1 "" 2) }}"#, "[1 2]"),
    entry(
        "mustCompact",
        compact,
        r#"{{ mustCompact (list 1 "" 2) }}"#,
        "[1 2]",
    ),
    entry("chunk", chunk, "{{ chunk 2 (list 1 2 3) }}", "[[1 2] [3]]"),
    entry(
        "mustChunk",
        chunk,
        "{{ mustChunk 2 (list 1 2 3) }}",
        "[[1 2] [3]]",
    ),
];

fn initial(args: &[Value]) -> Outcome {
    let all = items(args, 0)?;
    Ok(list(all.iter().take(all.len().saturating_sub(1)).cloned()))
}

fn append(args: &[Value]) -> Outcome {
    Ok(list(
        items(args, 0)?.iter().cloned().chain([arg(args, 1)?.clone()]),
    ))
}

fn prepend(args: &[Value]) -> Outcome {
    Ok(list(
        [arg(args, 1)?.clone()]
            .into_iter()
            .chain(items(args, 0)?.iter().cloned()),
    ))
}

fn concat(args: &[Value]) -> Outcome {
    let mut all = Vec::new();
    for at in 0..args.len() {
        all.extend_from_slice(items(args, at)?);
    }
    Ok(list(all))
}

fn uniq(args: &[Value]) -> Outcome {
    let mut kept: Vec<Value> = Vec::new();
    for item in items(args, 0)? {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    Ok(list(kept))
}

fn without(args: &[Value]) -> Outcome {
    let dropped = args.get(1..).unwrap_or_default();
    Ok(list(
        items(args, 0)?
            .iter()
            .filter(|item| !dropped.contains(item))
            .cloned(),
    ))
}

fn has(args: &[Value]) -> Outcome {
    let (_, before) = piped(args)?;
    let Some(wanted) = before.first() else {
        return fail("has takes a value and a list");
    };
    Ok(Value::Bool(items(args, args.len() - 1)?.contains(wanted)))
}

fn compact(args: &[Value]) -> Outcome {
    Ok(list(
        items(args, 0)?.iter().filter(|item| item.is_truthy()).cloned(),
    ))
}

fn chunk(args: &[Value]) -> Outcome {
    let size = count(args, 0)?;
    if size == 0 {
        return fail("chunk of size 0");
    }
    Ok(list(
        items(args, 1)?
            .chunks(size)
            .map(|part| list(part.iter().cloned())),
    ))
}
