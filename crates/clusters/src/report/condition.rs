//! Conditions, as `metav1.Condition` wants them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    True,
    False,
    Unknown,
}

impl Holds {
    const fn text(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Type, whether it holds, one word, one line.
pub(super) type Fact = (&'static str, Holds, &'static str, String);

/// Conditions of these facts; one that still holds keeps its time.
pub(super) fn conditions(
    before: &[Condition],
    facts: &[Fact],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |(kind, holds, reason, message): &Fact| {
        let status = holds.text();
        let same = |known: &&Condition| known.type_ == *kind && known.status == status;
        let known = before.iter().find(same);
        Condition {
            type_: (*kind).to_owned(),
            status: status.to_owned(),
            reason: (*reason).to_owned(),
            message: message.clone(),
            last_transition_time: known.map_or(Time(now), |known| known.last_transition_time.clone()),
            observed_generation: generation,
        }
    };
    facts.iter().map(condition).collect()
}

/// Keeps `since` while nothing changes.
pub(super) fn since(before: Option<&Time>, same: bool, now: Timestamp) -> Option<Time> {
    before.filter(|_| same).cloned().or(Some(Time(now)))
}
