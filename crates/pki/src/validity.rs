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
