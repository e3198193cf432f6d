//! Choices and kinds.

use gotmpl::Value;

use crate::args::{Outcome, arg, fail, piped, string, text};
use crate::function::{Function, entry};

pub(crate) const TABLE: &[Function] = &[
    entry(
        "default",
        default,
        r#"{{ "" | default "eth0" }}{{ "x" | default "eth0" }}"#,
        "eth0x",
    ),
    entry(
        "empty",
        |a| Ok(Value::Bool(!arg(a, 0)?.is_truthy())),
        r#"{{ empty "" }}"#,
        "true",
    ),
    entry("coalesce", coalesce, r#"{{ coalesce "" 0 "a" "b" }}"#, "a"),
    entry(
        "all",
        |a| Ok(Value::Bool(a.iter().all(Value::is_truthy))),
        r#"{{ all 1 "" }}"#,
        "false",
    ),
    entry(
        "any",
        |a| Ok(Value::Bool(a.iter().any(Value::is_truthy))),
        r#"{{ any 1 "" }}"#,
        "true",
    ),
    entry("ternary", ternary, r#"{{ true | ternary "yes" "no" }}"#, "yes"),
    entry(
        "fail",
        |a| fail(string(a, 0)?),
        r#"{{ if false }}{{ fail "no disk" }}{{ end }}"#,
        "",
    ),
    entry(
        "deepEqual",
        |a| Ok(Value::Bool(arg(a, 0)? == arg(a, 1)?)),
        "{{ deepEqual (list 1) (list 1) }}",
        "true",
    ),
    entry(
        "deepCopy",
        |a| Ok(arg(a, 0)?.clone()),
        "{{ deepCopy (list 1) }}",
        "[1]",
    ),
    entry(
        "mustDeepCopy",
        |a| Ok(arg(a, 0)?.clone()),
        "{{ mustDeepCopy (list 1) }}",
        "[1]",
    ),
    entry(
        "kindOf",
        |a| Ok(text(kind(arg(a, 0)?))),
        r#"{{ kindOf "a" }} {{ kindOf 1 }}"#,
        "string int",
    ),
    entry("kindIs", kind_is, r#"{{ kindIs "map" (dict) }}"#, "true"),
];

fn default(args: &[Value]) -> Outcome {
    let fallback = arg(args, 0)?;
    Ok(args
        .get(1)
        .filter(|given| given.is_truthy())
        .unwrap_or(fallback)
        .clone())
}

fn coalesce(args: &[Value]) -> Outcome {
    Ok(args
        .iter()
        .find(|value| value.is_truthy())
        .cloned()
        .unwrap_or(Value::Nil))
}

fn ternary(args: &[Value]) -> Outcome {
    let (test, choices) = piped(args)?;
    match choices {
        [yes, no] => Ok(if test.is_truthy() { yes } else { no }.clone()),
        _ => fail("ternary takes two values and a test"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        Value::Function(_) => "func",
    }
}

fn kind_is(args: &[Value]) -> Outcome {
    Ok(Value::Bool(string(args, 0)? == kind(arg(args, 1)?)))
}
