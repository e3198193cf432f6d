//! Moments: charts move `now` by a duration to see whether that is one.

use super::native::{Native, at};
use crate::failure::Failure;
use crate::value::{Object, Value};

pub(super) const TABLE: &[Native] = &[
    ("now", |_| Ok(Value::object(Object::Moment(0)))),
    ("dateModify", |a| {
        let moved = moved(a)?;
        // As in Sprig: what is no duration changes nothing.
        moved.map_or_else(|_| at(a, 1).cloned(), Ok)
    }),
    ("mustDateModify", |a| Ok(moved(a)??)),
];

/// The moment of the second argument, moved by the first.
fn moved(args: &[Value]) -> Result<Result<Value, String>, Failure> {
    let (by, moment) = (at(args, 0)?.printed(), at(args, 1)?);
    let Value::Object(object) = moment else {
        return Err(format!("a value of type {} is no moment", moment.type_name()).into());
    };
    let Object::Moment(from) = **object else {
        return Err(format!("a value of type {} is no moment", moment.type_name()).into());
    };
    Ok(nanoseconds(&by).map(|by| Value::object(Object::Moment(from.saturating_add(by)))))
}

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A duration as Go writes it, such as `1h30m`.
fn nanoseconds(text: &str) -> Result<i128, String> {
    let wrong = || format!("{text:?} is no duration, such as 1h30m");
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if bare == "0" {
        return Ok(0);
    }
    let (mut rest, mut sum) = (bare, 0.0);
    while !rest.is_empty() {
        let digits = rest
            .find(|sign: char| !sign.is_ascii_digit() && sign != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest
            .find(|sign: char| sign.is_ascii_digit() || sign == '.')
            .unwrap_or(rest.len());
        let known = UNITS.iter().find(|(name, _)| *name == &rest[..unit]);
        sum += number * known.ok_or_else(wrong)?.1;
        rest = &rest[unit..];
    }
    if bare.is_empty() {
        return Err(wrong());
    }
    // Durations of Go end after 292 years.
    #[allow(clippy::cast_possible_truncation)]
    let sum = sum as i128;
    Ok(if text.starts_with('-') { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn durations_are_those_of_go() {
        for (text, wanted) in [
            ("0", 0),
            ("1h30m", 5_400_000_000_000),
            ("-1.5s", -1_500_000_000),
            ("2ms", 2_000_000),
        ] {
            assert_eq!(nanoseconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "1", "s", "1d", "1h 2m", "a"] {
            assert!(nanoseconds(text).is_err(), "{text}");
        }
    }
}
