//! Sprig's functions for Go templates over the values of `gotmpl`.
//!
//! Owns: the part of Sprig v3 whose results are repeatable ([`functions()`] lists it with an example each), what reading
//! arguments as Sprig does means ([`args`]), and template values from and to JSON.
//!
//! Refuses: everything that gives another result tomorrow (clock, random numbers, environment, files, network) and what
//! changes its argument in place (`set`, `unset`); who renders adds those where they are wanted.
//!
//! Invariant: a function is pure and does not panic, whatever its arguments are.
//!
//! Written by hand because no crate has Sprig for this engine. Each entry carries an example and its result, so the table
//! is its own test.

pub mod args;
mod defaults;
mod dicts;
mod encoding;
mod function;
mod json;
mod lists;
mod math;
mod paths;
mod patterns;
mod strings;

pub use function::{Function, entry};
pub use json::{from_json, to_json};

/// All functions, by file.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    let tables: [&'static [Function]; 8] = [
        strings::TABLE,
        math::TABLE,
        lists::TABLE,
        dicts::TABLE,
        defaults::TABLE,
        encoding::TABLE,
        paths::TABLE,
        patterns::TABLE,
    ];
    tables.into_iter().flatten()
}
