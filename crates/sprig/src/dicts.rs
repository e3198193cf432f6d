//! Dicts. Every function gives a new dict; Sprig's `set` and `unset`, which change theirs in place, are not here.

use gotmpl::Value;

use crate::args::{Map, Outcome, arg, entries, fail, list, map, piped, string, string_of, text};
use crate::function::{Function, entry};

pub(crate) const TABLE: &[Function] = &[
    entry("dict", dict, r#"{{ dict "a" 1 "b" 2 }}"#, "map[a:1 b:2]"),
    entry("get", get, r#"{{ get (dict "a" 1) "a" }}"#, "1"),
    entry("hasKey", has_key, r#"{{ hasKey (dict "a" 1) "b" }}"#, "false"),
    entry("keys", keys, r#"{{ keys (dict "a" 1 "b" 2) | join "," }}"#, "a,b"),
    entry(
        "values",
        values,
        r#"{{ values (dict "a" 1 "b" 2) | join "," }}"#,
        "1,2",
    ),
    entry("pick", pick, r#"{{ pick (dict "a" 1 "b" 2) "a" }}"#, "map[a:1]"),
    entry("omit", omit, r#"{{ omit (dict "a" 1 "b" 2) "a" }}"#, "map[b:2]"),
    entry(
        "pluck",
        pluck,
        r#"{{ pluck "a" (dict "a" 1) (dict "a" 2) }}"#,
        "[1 2]",
    ),
    entry(
        "dig",
        dig,
        r#"{{ dig "a" "b" "none" (dict "a" (dict "b" 1)) }}"#,
        "1",
    ),
    entry(
        "merge",
        |a| merge(a, false),
        r#"{{ merge (dict "a" 1) (dict "a" 2 "b" 3) }}"#,
        "map[a:1 b:3]",
    ),
    entry(
        "mergeOverwrite",
        |a| merge(a, true),
        r#"{{ mergeOverwrite (dict "a" 1) (dict "a" 2) }}"#,
        "map[a:2]",
    ),
];

fn dict(args: &[Value]) -> Outcome {
    let pairs = args.chunks(2);
    Ok(map(pairs.filter_map(|pair| {
        let (key, rest) = pair.split_first()?;
        Some((
            string_of(key).into(),
            rest.first().cloned().unwrap_or_else(|| text("")),
        ))
    })))
}

fn get(args: &[Value]) -> Outcome {
    let key = string(args, 1)?;
    Ok(entries(args, 0)?
        .get(key.as_str())
        .cloned()
        .unwrap_or_else(|| text("")))
}

fn has_key(args: &[Value]) -> Outcome {
    let key = string(args, 1)?;
    Ok(Value::Bool(entries(args, 0)?.contains_key(key.as_str())))
}

fn keys(args: &[Value]) -> Outcome {
    let mut all = Vec::new();
    for at in 0..args.len() {
        all.extend(entries(args, at)?.keys().map(text));
    }
    Ok(list(all))
}

fn values(args: &[Value]) -> Outcome {
    Ok(list(entries(args, 0)?.values().cloned()))
}

fn named(args: &[Value]) -> Vec<String> {
    args.iter().skip(1).map(string_of).collect()
}

fn pick(args: &[Value]) -> Outcome {
    let names = named(args);
    let kept = entries(args, 0)?
        .iter()
        .filter(|(key, _)| names.iter().any(|name| **name == ***key));
    Ok(map(kept.map(|(key, value)| (key.clone(), value.clone()))))
}

fn omit(args: &[Value]) -> Outcome {
    let names = named(args);
    let kept = entries(args, 0)?
        .iter()
        .filter(|(key, _)| !names.iter().any(|name| **name == ***key));
    Ok(map(kept.map(|(key, value)| (key.clone(), value.clone()))))
}

fn pluck(args: &[Value]) -> Outcome {
    let key = string(args, 0)?;
    let mut found = Vec::new();
    for at in 1..args.len() {
        found.extend(entries(args, at)?.get(key.as_str()).cloned());
    }
    Ok(list(found))
}

fn dig(args: &[Value]) -> Outcome {
    let (mut value, before) = piped(args)?;
    let Some((default, path)) = before.split_last() else {
        return fail("dig takes keys, a default and a dict");
    };
    for key in path {
        match value.field(&string_of(key)) {
            Some(inner) => value = inner,
            None => return Ok(default.clone()),
        }
    }
    Ok(value.clone())
}

fn merge(args: &[Value], overwrite: bool) -> Outcome {
    arg(args, 0)?;
    let mut merged = entries(args, 0)?.clone();
    for at in 1..args.len() {
        merge_into(&mut merged, entries(args, at)?, overwrite, 0);
    }
    Ok(map(merged))
}

fn merge_into(into: &mut Map, from: &Map, overwrite: bool, depth: usize) {
    for (key, value) in from {
        match (into.get(key), value) {
            (Some(Value::Map(inner)), Value::Map(more)) if depth < 64 => {
                let mut inner = (**inner).clone();
                merge_into(&mut inner, more, overwrite, depth + 1);
                into.insert(key.clone(), map(inner));
            }
            // Sprig's merge fills what is empty.
            (Some(have), _) if have.is_truthy() && !overwrite => {}
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}
