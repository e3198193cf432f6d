//! What a function of this crate is, and how it gets at its arguments.

use crate::failure::Failure;
use crate::value::Value;

/// What a function gives.
pub(crate) type Outcome = Result<Value, Failure>;

/// A function with its name.
pub(super) type Native = (&'static str, fn(&[Value]) -> Outcome);

/// The argument at a position.
pub(super) fn at(args: &[Value], place: usize) -> Result<&Value, Failure> {
    args.get(place)
        .ok_or_else(|| format!("takes at least {} arguments, and has {}", place + 1, args.len()).into())
}
