//! Go's own functions.

use gotmpl::{Template, Value as Plain};

use super::native::{Native, Outcome, at};
use crate::engine::{equal, less};
use crate::failure::Failure;
use crate::value::Value;

pub(super) const TABLE: &[Native] = &[
    ("eq", eq),
    ("ne", |a| {
        equal(at(a, 0)?, at(a, 1)?)
            .map(|same| Value::Bool(!same))
            .map_err(Failure::from)
    }),
    ("lt", |a| compared(a, false, false)),
    ("ge", |a| compared(a, false, true)),
    ("gt", |a| compared(a, true, false)),
    ("le", |a| compared(a, true, true)),
    ("not", |a| Ok(Value::Bool(!at(a, 0)?.truthy()))),
    ("len", len),
    ("index", index),
    ("print", |a| Ok(Value::text(print(a)))),
    ("println", println),
    ("printf", printf),
    ("html", |a| called("html", &[Value::text(print(a))])),
    ("js", |a| called("js", &[Value::text(print(a))])),
    ("urlquery", |a| called("urlquery", &[Value::text(print(a))])),
];

/// Whether the first value is one of the others.
fn eq(args: &[Value]) -> Outcome {
    let (first, others) = (at(args, 0)?, at(args, 1).map(|_| &args[1..])?);
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn compared(args: &[Value], turned: bool, negated: bool) -> Outcome {
    let (one, other) = (at(args, 0)?, at(args, 1)?);
    let below = if turned {
        less(other, one)?
    } else {
        less(one, other)?
    };
    Ok(Value::Bool(below != negated))
}

fn len(args: &[Value]) -> Outcome {
    let count = match at(args, 0)? {
        Value::String(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.borrow().len(),
        other => return Err(format!("a value of type {} has no length", other.type_name()).into()),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn index(args: &[Value]) -> Outcome {
    let mut value = at(args, 0)?.clone();
    for key in &args[1..] {
        let inner = match (&value, key) {
            (Value::Map(entries), Value::String(key)) => {
                entries.borrow().get(&**key).cloned().unwrap_or(Value::Nil)
            }
            (Value::List(items), Value::Int(place)) => {
                let item = usize::try_from(*place).ok().and_then(|place| items.get(place));
                item.cloned()
                    .ok_or_else(|| format!("there is no item {place} in a list of {}", items.len()))?
            }
            (value, key) => {
                return Err(format!(
                    "a value of type {} has no item by a key of type {}",
                    value.type_name(),
                    key.type_name()
                )
                .into());
            }
        };
        value = inner;
    }
    Ok(value)
}

/// Values side by side, with a space between two that are no texts.
fn print(args: &[Value]) -> String {
    let mut found = String::new();
    let mut after_text = true;
    for value in args {
        let is_text = matches!(value, Value::String(_));
        if !after_text && !is_text {
            found.push(' ');
        }
        found.push_str(&value.go_text());
        after_text = is_text;
    }
    found
}

fn println(args: &[Value]) -> Outcome {
    let words: Vec<String> = args.iter().map(Value::go_text).collect();
    Ok(Value::text(format!("{}\n", words.join(" "))))
}

/// What `%v` prints is made here, the rest is `gotmpl`'s.
fn printf(args: &[Value]) -> Outcome {
    let format = at(args, 0)?.printed();
    let mut own = args.to_vec();
    let mut place = 0;
    let mut signs = format.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign != '%' || signs.next_if_eq(&'%').is_some() {
            continue;
        }
        place += 1;
        if let (Some('v'), Some(value)) = (signs.peek(), own.get_mut(place)) {
            *value = Value::text(value.go_text());
        }
    }
    called("printf", &own)
}

/// One of the functions that `gotmpl` has, over copies.
fn called(name: &str, args: &[Value]) -> Outcome {
    let items: Plain = sprig::args::list(args.iter().map(Value::to_plain));
    let places: Vec<String> = (0..args.len())
        .map(|place| format!("(index . {place})"))
        .collect();
    let text = format!("{{{{ {name} {} }}}}", places.join(" "));
    let template = Template::new(name).parse(&text);
    let rendered = template.and_then(|template| template.execute_to_string(&items));
    Ok(Value::text(rendered.map_err(|error| error.to_string())?))
}
