//! The functions that templates may call: Sprig v3 as far as its results are repeatable, Tinkerbell's own four, and the name that EKS Anywhere gives to one of these.
//!
//! Written by hand because no crate has Sprig for this engine. Each entry carries an example and its result, so the
//! table is its own test.

mod args;
mod defaults;
mod dicts;
mod encoding;
mod function;
pub(crate) mod json;
mod lists;
mod math;
mod paths;
mod patterns;
mod strings;
mod tinkerbell;

pub use function::Function;

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
