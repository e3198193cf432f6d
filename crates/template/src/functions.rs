//! The functions that templates may call: Sprig v3 as far as its results are repeatable, and Tinkerbell's own four.
//!
//! Written by hand because no crate has Sprig for this engine. Each entry carries an example and its result, so the
//! table is its own test.

mod args;
mod defaults;
mod dicts;
mod encoding;
pub(crate) mod json;
mod lists;
mod math;
mod paths;
mod patterns;
mod strings;
mod tinkerbell;

use gotmpl::{TemplateError, Value};

/// One function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Name in templates.
    pub name: &'static str,
    /// What it does.
    pub call: fn(&[Value]) -> Result<Value, TemplateError>,
    /// A template that uses it.
    pub example: &'static str,
    /// What the example renders to.
    pub gives: &'static str,
}

/// All functions, by file.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    let tables: [&'static [Function]; 9] = [
        strings::TABLE,
        math::TABLE,
        lists::TABLE,
        dicts::TABLE,
        defaults::TABLE,
        encoding::TABLE,
        paths::TABLE,
        patterns::TABLE,
        tinkerbell::TABLE,
    ];
    tables.into_iter().flatten()
}

/// An entry of a table.
const fn entry(
    name: &'static str,
    call: fn(&[Value]) -> Result<Value, TemplateError>,
    example: &'static str,
    gives: &'static str,
) -> Function {
    Function {
        name,
        call,
        example,
        gives,
    }
}
