//! What a decision says.

use jiff::{SignedDuration, Timestamp};

/// The next step of an object in one of the states `S`, which may need the effect `E`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<S, E> {
    /// Nothing can be done before something changes, or before the time.
    Wait {
        /// What is waited for, and what a person can do about it.
        reason: String,
        /// When the decision is asked again whatever happens; it then waits for something else or gives up.
        until: Timestamp,
        /// Share done of what is waited for, 0 to 100, where it is known.
        percent: Option<u8>,
    },
    /// Enter a state; the decision is asked again in it.
    Go {
        /// Which.
        state: S,
        /// Why.
        reason: String,
    },
    /// Do one thing, then decide again. Every effect may be repeated.
    Do(E),
    /// At rest: nothing is owed until something changes, so there is no deadline.
    Done {
        /// Why nothing is to be done; the last reason stands when absent.
        reason: Option<String>,
    },
}

impl<S, E> Step<S, E> {
    /// A wait with an end.
    #[must_use]
    pub fn wait(reason: impl Into<String>, until: Timestamp) -> Self {
        Self::Wait {
            reason: reason.into(),
            until,
            percent: None,
        }
    }

    /// A change of state.
    #[must_use]
    pub fn go(state: S, reason: impl Into<String>) -> Self {
        Self::Go {
            state,
            reason: reason.into(),
        }
    }

    /// Rest with a new reason.
    #[must_use]
    pub fn done(reason: impl Into<String>) -> Self {
        Self::Done {
            reason: Some(reason.into()),
        }
    }

    /// Rest with the reason that stands.
    #[must_use]
    pub const fn rest() -> Self {
        Self::Done { reason: None }
    }

    /// The same wait with its progress; other steps stay as they are.
    #[must_use]
    pub fn with_percent(mut self, share: Option<u8>) -> Self {
        if let Self::Wait { percent, .. } = &mut self {
            *percent = share;
        }
        self
    }

    /// The failure exit of a wait: from its end on, the step that `exit` makes of the wait's reason. Other steps stay as
    /// they are.
    #[must_use]
    pub fn or_at_deadline(self, now: Timestamp, exit: impl FnOnce(String) -> Self) -> Self {
        match self {
            Self::Wait { reason, until, .. } if now >= until => exit(reason),
            step => step,
        }
    }
}

/// `span` after `time`, or the end of time.
#[must_use]
pub fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// The pause after so many tries that failed one after the other: `first` after the first one, doubled with each that follows, and
/// never more than `longest`.
#[must_use]
pub fn pause_after(failures: u32, first: SignedDuration, longest: SignedDuration) -> SignedDuration {
    let factor = 2_i32.saturating_pow(failures.saturating_sub(1));
    first.saturating_mul(factor).min(longest)
}

/// So many minutes after `time`, or the end of time.
#[must_use]
pub fn minutes_after(time: Timestamp, minutes: i64) -> Timestamp {
    later(time, SignedDuration::from_mins(minutes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    type Sample = Step<u8, ()>;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_wait_is_left_from_its_deadline_on() {
        let wait = || Sample::wait("for a lease", at(60)).with_percent(Some(5));
        let exit = |reason: String| Step::go(9, format!("gave up: {reason}"));
        for (now, expected) in [
            (at(0), wait()),
            (at(59), wait()),
            (at(60), Step::go(9, "gave up: for a lease")),
            (at(61), Step::go(9, "gave up: for a lease")),
        ] {
            assert_eq!(wait().or_at_deadline(now, exit), expected, "{now}");
        }
    }

    #[test]
    fn only_waits_have_a_deadline_and_progress() {
        for step in [
            Sample::go(1, "on"),
            Sample::Do(()),
            Sample::done("free"),
            Sample::rest(),
        ] {
            let same = step.clone().with_percent(Some(5));
            let same = same.or_at_deadline(Timestamp::MAX, |_| Step::go(9, "gave up"));
            assert_eq!(same, step);
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let minutes = SignedDuration::from_mins;
        for (failures, expected) in [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (u32::MAX, 30)] {
            let pause = pause_after(failures, minutes(1), minutes(30));
            assert_eq!(pause, minutes(expected), "{failures}");
        }
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        assert_eq!(minutes_after(at(0), 2), at(120));
        assert_eq!(
            later(Timestamp::MAX, SignedDuration::from_secs(1)),
            Timestamp::MAX
        );
    }
}
