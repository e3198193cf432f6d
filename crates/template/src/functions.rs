//! The functions that templates may call: Sprig as far as its results are repeatable, Tinkerbell's own four, and the name that EKS
//! Anywhere gives to one of these.

mod tinkerbell;

use sprig::Function;

/// All functions.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    sprig::functions().chain(tinkerbell::TABLE)
}
