//! Conditions of a status, made from facts: as `metav1.Condition` wants them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::Time;

/// Condition of a Machine that was made for a rollout with upgrade gates: they have succeeded after it joined.
pub const UPGRADE_GATES_PASSED: &str = "UpgradeGatesPassed";

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody who knows could be asked.
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
pub type Fact = (&'static str, Holds, &'static str, String);

/// Conditions of these facts, for a spec of this generation. One that is as it was in `before` keeps its time.
#[must_use]
pub fn conditions(
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

/// Since when something is as it is: the time `before` while it is the `same`.
#[must_use]
pub fn since(before: Option<&Time>, same: bool, now: Timestamp) -> Option<Time> {
    before.filter(|_| same).cloned().or(Some(Time(now)))
}
