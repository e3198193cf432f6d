//! Whether an object outlives its owners. Pure.
//!
//! The rules are those of `classifyReferences` and `attemptToDeleteItem` of the garbage collector of
//! kube-controller-manager, with one more: see [`MATURE`].

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::meta::deletion::FOREGROUND;
use crate::meta::{Meta, deletion::Propagation};

/// Age before which an object is not deleted for an owner that was never seen: a restore writes objects in any order.
pub(super) const MATURE: Duration = Duration::from_secs(3);

/// What is known of the owner that a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there.
    Solid,
    /// It is being deleted and waits for its dependents.
    Waiting,
    /// It is not there.
    Absent,
    /// It is not there, but may still come.
    Young(Duration),
    /// Nobody can say: its kind is not served, or it can't be the owner of such an object.
    Unproven,
}

/// What there is under the name that a reference gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// Kind or version are not served, or its objects are not stored.
    NotServed,
    /// The kind has namespaces and the dependent has none.
    WrongScope,
    /// The object of that kind and name, in the namespace of the dependent where the kind has namespaces.
    Served(Option<&'a Value>),
}

/// Judges one reference of `dependent`. `departed`: an object with this uid was here and is gone.
pub(super) fn standing(
    reference: &Value,
    dependent: &Value,
    place: Place<'_>,
    departed: bool,
    now: Timestamp,
) -> Standing {
    let found = match place {
        Place::NotServed | Place::WrongScope => return Standing::Unproven,
        Place::Served(found) => found,
    };
    match found.filter(|owner| reference["uid"] == owner.uid()) {
        Some(owner) if owner.is_terminating() && owner.finalizers().contains(&FOREGROUND) => {
            Standing::Waiting
        }
        Some(_) => Standing::Solid,
        None if departed => Standing::Absent,
        None => match missing_age(dependent, now) {
            Some(wait) => Standing::Young(wait),
            None => Standing::Absent,
        },
    }
}

/// How long until the object is mature.
fn missing_age(object: &Value, now: Timestamp) -> Option<Duration> {
    let made: Timestamp = object.meta_str("creationTimestamp").parse().ok()?;
    let age = Duration::try_from(now.duration_since(made)).unwrap_or_default();
    // Time stamps have whole seconds.
    let wait = (MATURE + Duration::from_secs(1)).saturating_sub(age);
    (!wait.is_zero()).then_some(wait)
}

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays as it is.
    Stay,
    /// It is judged again after this time.
    Later(Duration),
    /// It stays and loses its references to these owners.
    Drop(Vec<String>),
    /// It goes.
    Delete(Option<Propagation>),
}

/// Judges an object by its owners (uid and standing).
pub(super) fn verdict(owners: &[(String, Standing)], has_dependents: bool) -> Verdict {
    let any = |wanted: Standing| owners.iter().any(|(_, standing)| *standing == wanted);
    if owners.is_empty() || any(Standing::Unproven) {
        return Verdict::Stay;
    }
    let waits = owners.iter().filter_map(|(_, standing)| match standing {
        Standing::Young(wait) => Some(*wait),
        _ => None,
    });
    if let Some(wait) = waits.max() {
        return Verdict::Later(wait);
    }
    if any(Standing::Solid) {
        let others = owners.iter().filter(|(_, standing)| *standing != Standing::Solid);
        let others: Vec<String> = others.map(|(uid, _)| uid.clone()).collect();
        return if others.is_empty() {
            Verdict::Stay
        } else {
            Verdict::Drop(others)
        };
    }
    Verdict::Delete((any(Standing::Waiting) && has_dependents).then_some(Propagation::Foreground))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MADE: &str = "2026-01-01T00:00:00Z";

    fn after(seconds: i64) -> Timestamp {
        let made: Timestamp = MADE.parse().unwrap();
        Timestamp::from_second(made.as_second() + seconds).unwrap()
    }

    #[test]
    fn standings() {
        let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"});
        let dependent = json!({"metadata": {"name": "d", "creationTimestamp": MADE}});
        let owner = json!({"metadata": {"name": "o", "uid": "u"}});
        let other = json!({"metadata": {"name": "o", "uid": "v"}});
        let marked = json!({"metadata": {"uid": "u", "deletionTimestamp": MADE, "finalizers": ["a/b"]}});
        let waits = json!({"metadata": {"uid": "u", "deletionTimestamp": MADE, "finalizers": [FOREGROUND]}});
        let wait = |seconds| Standing::Young(Duration::from_secs(seconds));
        for (place, departed, seconds, expected) in [
            (Place::NotServed, true, 99, Standing::Unproven),
            (Place::WrongScope, true, 99, Standing::Unproven),
            (Place::Served(Some(&owner)), false, 99, Standing::Solid),
            (Place::Served(Some(&marked)), false, 99, Standing::Solid),
            (Place::Served(Some(&waits)), false, 99, Standing::Waiting),
            (Place::Served(Some(&other)), false, 99, Standing::Absent),
            (Place::Served(None), false, 99, Standing::Absent),
            (Place::Served(None), false, 4, Standing::Absent),
            (Place::Served(None), false, 3, wait(1)),
            (Place::Served(None), false, 0, wait(4)),
            (Place::Served(Some(&other)), false, 0, wait(4)),
            (Place::Served(None), true, 0, Standing::Absent),
        ] {
            let found = standing(&reference, &dependent, place, departed, after(seconds));
            assert_eq!(found, expected, "{place:?} {departed} {seconds}");
        }
    }

    #[test]
    fn verdicts() {
        use Standing::{Absent, Solid, Unproven, Waiting};
        let young = |seconds| Standing::Young(Duration::from_secs(seconds));
        let foreground = Some(Propagation::Foreground);
        let dropped = |uids: &[&str]| Verdict::Drop(uids.iter().map(|uid| (*uid).to_owned()).collect());
        for (standings, dependents, expected) in [
            (vec![], true, Verdict::Stay),
            (vec![Solid], true, Verdict::Stay),
            (vec![Unproven], true, Verdict::Stay),
            (vec![Absent, Unproven], true, Verdict::Stay),
            (vec![Absent], true, Verdict::Delete(None)),
            (
                vec![Absent, young(2)],
                true,
                Verdict::Later(Duration::from_secs(2)),
            ),
            (vec![Solid, Absent], false, dropped(&["1"])),
            (vec![Waiting, Solid, Absent], false, dropped(&["0", "2"])),
            (vec![Waiting], false, Verdict::Delete(None)),
            (vec![Waiting], true, Verdict::Delete(foreground)),
            (vec![Waiting, Absent], true, Verdict::Delete(foreground)),
        ] {
            let owners: Vec<(String, Standing)> = standings
                .iter()
                .enumerate()
                .map(|(i, s)| (i.to_string(), *s))
                .collect();
            assert_eq!(
                verdict(&owners, dependents),
                expected,
                "{standings:?} {dependents}"
            );
        }
    }
}
