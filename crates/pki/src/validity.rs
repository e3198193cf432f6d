//! From when until when a certificate counts.

use jiff::{SignedDuration, Timestamp};

/// How far a certificate's start lies before the moment of signing, for clocks that are a little behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// A span in whole seconds, as X.509 holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Validity {
    /// From five minutes before `now` until `until`.
    #[must_use]
    pub fn until(now: Timestamp, until: Timestamp) -> Self {
        let start = now.checked_sub(BACKDATED).unwrap_or(now);
        Self {
            not_before: whole(start),
            not_after: whole(until),
        }
    }

    /// From five minutes before `now` for `length` after it.
    #[must_use]
    pub fn lasting(now: Timestamp, length: SignedDuration) -> Self {
        Self::until(now, now.checked_add(length).unwrap_or(Timestamp::MAX))
    }

    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether a certificate has to be made anew: two thirds of its life are over, or the clock was set back to before its
    /// begin.
    #[must_use]
    pub fn is_renewal_due(&self, now: Timestamp) -> bool {
        let life = self.not_after.duration_since(self.not_before);
        let used = now.duration_since(self.not_before);
        used.is_negative() || used >= life.checked_div(3).unwrap_or(life).saturating_mul(2)
    }

    /// Puts the span into certificate parameters.
    pub(crate) fn apply(&self, params: &mut rcgen::CertificateParams) {
        // rcgen's time type is reached by its one public constructor; seconds before 1970 do not occur.
        let at = |time: Timestamp| {
            let seconds = u64::try_from(time.as_second()).unwrap_or_default();
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
        };
        params.not_before = at(self.not_before);
        params.not_after = at(self.not_after);
    }
}

/// The time without its fraction of a second.
fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_due_after_two_thirds_and_before_the_begin() {
        let start: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        // From five minutes before to three days after the begin.
        let until = "2026-01-04T00:00:00Z".parse().unwrap();
        let validity = Validity::until(start, until);
        for (time, due) in [
            ("2025-12-31T23:59:59Z", true),
            ("2026-01-01T00:00:00Z", false),
            ("2026-01-02T23:59:59Z", false),
            ("2026-01-03T00:00:00Z", true),
            ("2030-01-01T00:00:00Z", true),
        ] {
            assert_eq!(validity.is_renewal_due(time.parse().unwrap()), due, "{time}");
        }
    }
}
