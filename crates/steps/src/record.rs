//! The part of a status that every state machine has.

use jiff::Timestamp;

use crate::transition::{StateName, Transition};

/// State, since when, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<S> {
    /// The state.
    pub state: S,
    /// When it was entered; absent on an object that nothing was decided for.
    pub since: Option<Timestamp>,
    /// What is waited for, or why it rests.
    pub reason: Option<String>,
    /// When the wait ends; absent at rest.
    pub deadline: Option<Timestamp>,
    /// Share done of what is waited for, 0 to 100.
    pub percent: Option<u8>,
}

impl<S: Copy + PartialEq> Record<S> {
    /// What changed up to `after`, which was decided at `now`; nothing when the state is the same.
    pub fn transition(
        &self,
        after: &Self,
        name_of: impl Fn(S) -> StateName,
        now: Timestamp,
    ) -> Option<Transition> {
        let seconds = |since: Timestamp| now.duration_since(since).as_secs_f64().max(0.0);
        (self.state != after.state).then(|| Transition {
            from: name_of(self.state),
            to: name_of(after.state),
            reason: after.reason.clone().unwrap_or_default(),
            seconds: self.since.map(seconds),
        })
    }

    /// Enters a state: its time begins, and the old state's deadline and progress are gone.
    pub(crate) fn enter(&mut self, state: S, reason: String, now: Timestamp) {
        *self = Self {
            state,
            since: Some(now),
            reason: Some(reason),
            deadline: None,
            percent: None,
        };
    }

    /// Waits. A deadline that is counted from `now` moves with each decision; it is kept as long as the reason is the
    /// same and it has not passed, so that a wait without change is not written again.
    pub(crate) fn wait(&mut self, reason: String, until: Timestamp, percent: Option<u8>, now: Timestamp) {
        let stands = |known: &Timestamp| *known > now && *known <= until;
        if self.reason.as_ref() != Some(&reason) || !self.deadline.as_ref().is_some_and(stands) {
            self.deadline = Some(until);
        }
        self.since.get_or_insert(now);
        self.reason = Some(reason);
        self.percent = percent;
    }

    /// Rests. Without a reason nothing is said of the state, so what stands stays.
    pub(crate) fn rest(&mut self, reason: Option<String>, now: Timestamp) {
        if reason.is_some() {
            self.reason = reason;
            self.since.get_or_insert(now);
        }
        (self.deadline, self.percent) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn waiting(deadline: i64) -> Record<u8> {
        Record {
            state: 1,
            since: Some(at(0)),
            reason: Some("for a lease".into()),
            deadline: Some(at(deadline)),
            percent: Some(7),
        }
    }

    #[test]
    fn a_deadline_moves_only_with_the_reason_or_when_it_is_over() {
        for (what, reason, until, expected) in [
            ("counted from now", "for a lease", 160, 100),
            ("sooner", "for a lease", 90, 90),
            ("another reason", "for power", 160, 160),
        ] {
            let mut record = waiting(100);
            record.wait(reason.into(), at(until), Some(7), at(50));
            assert_eq!(record.deadline, Some(at(expected)), "{what}");
        }
        let mut record = waiting(100);
        record.wait("for a lease".into(), at(160), Some(7), at(100));
        assert_eq!(record.deadline, Some(at(160)), "over");
    }

    #[test]
    fn entering_a_state_begins_its_time() {
        let mut record = waiting(100);
        record.enter(2, "armed".into(), at(70));
        let expected = Record {
            state: 2,
            since: Some(at(70)),
            reason: Some("armed".into()),
            deadline: None,
            percent: None,
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn rest_has_no_deadline_and_keeps_a_reason_that_stands() {
        let mut record = waiting(100);
        record.rest(None, at(50));
        assert_eq!(record.reason.as_deref(), Some("for a lease"));
        assert_eq!(
            (record.since, record.deadline, record.percent),
            (Some(at(0)), None, None)
        );
        record.rest(Some("free".into()), at(60));
        assert_eq!(record.reason.as_deref(), Some("free"));
    }
}
