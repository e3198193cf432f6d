//! The functions of Helm's templates: Go's own, Helm's, Sprig's, by one table each.
//!
//! Functions that keep what they get, or change it (`set`, `merge`), are here, because dicts are shared. The rest of Sprig
//! is the crate `sprig`. Left out are functions whose result nobody can repeat (random texts, the clock) and those that
//! would ask the machine (environment, names of hosts): a chart that names one is refused when it is read. `lookup` finds
//! nothing, as in `helm template`.

mod builtins;
mod choices;
mod dicts;
mod lists;
mod moments;
mod native;
mod texts;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::value::Value;
use native::{Native, Outcome};

/// A function by what it needs.
#[derive(Clone, Copy)]
pub(crate) enum Callable {
    /// Its arguments alone.
    Native(fn(&[Value]) -> Outcome),
    /// Copies of its arguments: Sprig's.
    Plain(&'static sprig::Function),
    /// A template that is there, and its data.
    Include,
    /// A text that is a template, and its data.
    Tpl,
    /// Its arguments one after the other, until one of this truth.
    ShortCircuit { stops_at: bool },
}

const TABLES: [&[Native]; 6] = [
    builtins::TABLE,
    choices::TABLE,
    dicts::TABLE,
    lists::TABLE,
    moments::TABLE,
    texts::TABLE,
];

static FUNCTIONS: LazyLock<HashMap<&'static str, Callable>> = LazyLock::new(|| {
    let mut known: HashMap<&str, Callable> = HashMap::new();
    for function in sprig::functions() {
        known.insert(function.name, Callable::Plain(function));
    }
    for (name, function) in TABLES.into_iter().flatten() {
        known.insert(name, Callable::Native(*function));
    }
    known.insert("include", Callable::Include);
    known.insert("tpl", Callable::Tpl);
    known.insert("and", Callable::ShortCircuit { stops_at: false });
    known.insert("or", Callable::ShortCircuit { stops_at: true });
    known
});

/// The function of a name.
pub(crate) fn named(name: &str) -> Option<Callable> {
    FUNCTIONS.get(name).copied()
}

/// Calls one of Sprig's.
pub(crate) fn plain(function: &sprig::Function, args: &[Value]) -> Outcome {
    let args: Vec<_> = args.iter().map(Value::to_plain).collect();
    let found = (function.call)(&args).map_err(|error| error.to_string())?;
    Ok(Value::from_plain(&found))
}
