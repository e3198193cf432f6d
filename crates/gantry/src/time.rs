//! Times for people.

use jiff::Timestamp;

/// How long ago, as kubectl writes it: `42s`, `5m`, `3h`, `2d`.
pub(crate) fn ago(since: Timestamp, now: Timestamp) -> String {
    span(now.as_second().saturating_sub(since.as_second()).max(0))
}

/// So many seconds, in the unit that fits.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m{}s", seconds / 60, seconds % 60),
        7200..=172_799 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long until; `overdue by 5s` when it is past.
pub(crate) fn until(deadline: Timestamp, now: Timestamp) -> String {
    if deadline < now {
        format!("overdue by {}", ago(deadline, now))
    } else {
        format!("in {}", ago(now, deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn spans_have_the_unit_that_fits() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (125, "2m5s"),
            (7260, "2h1m"),
            (200_000, "2d"),
            (-5, "0s"),
        ] {
            assert_eq!(ago(at(1000), at(1000 + seconds)), text);
        }
    }

    #[test]
    fn deadlines_lie_before_or_after() {
        assert_eq!(until(at(20), at(10)), "in 10s");
        assert_eq!(until(at(10), at(20)), "overdue by 10s");
    }
}
