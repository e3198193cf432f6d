//! The order of keys: go-yaml puts letters after everything else and compares numbers inside of keys as numbers.

use std::cmp::Ordering;

pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let first = a.iter().zip(&b).position(|(x, y)| x != y);
    let (Some(at), Some((x, y))) = (first, first.and_then(|at| Some((a.get(at)?, b.get(at)?)))) else {
        return a.len().cmp(&b.len());
    };
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => x.cmp(y),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let zeros = *x == '0' || *y == '0';
            let start = i64::from(zeros && inside_number(&a, at));
            let ((left, left_end), (right, right_end)) = (number(&a, at, start), number(&b, at, start));
            left.cmp(&right).then(left_end.cmp(&right_end)).then(x.cmp(y))
        }
    }
}

/// Whether the digits before a place have one that is not 0.
fn inside_number(signs: &[char], at: usize) -> bool {
    let before = signs.iter().take(at).rev();
    let mut digits = before.take_while(|sign| sign.is_ascii_digit());
    digits.any(|digit| *digit != '0')
}

/// The number that begins at a place, and where it ends.
fn number(signs: &[char], at: usize, start: i64) -> (i64, usize) {
    let digits = signs.iter().skip(at).map_while(|sign| sign.to_digit(10));
    digits.fold((start, at), |(sum, end), digit| {
        (sum.wrapping_mul(10).wrapping_add(i64::from(digit)), end + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_keys_are_numbers() {
        let mut keys = ["a10", "b", "a2", "a", "A", "a-b", "aa", "10", "9", "a_b"];
        keys.sort_by(|one, other| compare(one, other));
        assert_eq!(keys, ["9", "10", "A", "a", "a-b", "a_b", "a2", "a10", "aa", "b"]);
    }
}
