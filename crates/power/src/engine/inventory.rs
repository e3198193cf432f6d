//! When a BMC is asked for its machine's identity, and what is kept of the answer.

use bmc::Inventory;
use jiff::{SignedDuration, Timestamp};
use resources::Time;
use resources::bmc::{BmcInventory, Machine};

/// How long an answer counts.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// When a BMC that did not say is asked again.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Whether the BMC is to be asked now.
pub(crate) fn is_due(machine: &Machine, now: Timestamp) -> bool {
    BmcInventory::of(machine).is_none_or(|known| {
        let age = now.duration_since(known.at.0);
        let limit = if known.problem.is_some() { AGAIN } else { FRESH };
        age >= limit || age.is_negative()
    })
}

/// What is kept. A BMC that fails to answer now takes nothing away that it said before: the machine is still the same.
pub(crate) fn kept(machine: &Machine, answer: Result<Inventory, String>, now: Timestamp) -> BmcInventory {
    let host = machine.spec.connection.host.clone();
    let nothing = |problem: String| BmcInventory {
        host: host.clone(),
        uuid: None,
        serial: None,
        macs: Vec::new(),
        problem: Some(problem),
        at: Time(now),
    };
    match answer {
        Ok(said) => {
            let mut macs: Vec<_> = said.nics.iter().map(|nic| nic.mac).collect();
            macs.sort_unstable();
            macs.dedup();
            BmcInventory {
                uuid: said.uuid,
                serial: said.serial,
                macs,
                problem: None,
                ..nothing(String::new())
            }
        }
        Err(problem) => match BmcInventory::of(machine).filter(|known| known.problem.is_none()) {
            Some(known) => BmcInventory {
                at: Time(now),
                ..known
            },
            None => nothing(problem),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::ResourceExt as _;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn machine(known: Option<&BmcInventory>) -> Machine {
        let mut machine: Machine = serde_json::from_value(serde_json::json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "m"},
            "spec": {"connection": {"host": "192.0.2.21", "authSecretRef": {"name": "a", "namespace": "n"}}}
        }))
        .unwrap();
        if let Some(known) = known {
            let key = resources::keys::BMC_INVENTORY.to_owned();
            let text = serde_json::to_string(known).unwrap();
            machine.annotations_mut().insert(key, text);
        }
        machine
    }

    fn said() -> Inventory {
        Inventory {
            uuid: Some("u-1".into()),
            ..Inventory::default()
        }
    }

    #[test]
    fn an_answer_counts_for_an_hour_and_none_for_five_minutes() {
        assert!(is_due(&machine(None), at(0)));
        let good = kept(&machine(None), Ok(said()), at(0));
        assert!(!is_due(&machine(Some(&good)), at(59)) && is_due(&machine(Some(&good)), at(60)));
        let bad = kept(&machine(None), Err("no such resource".into()), at(0));
        assert!(!is_due(&machine(Some(&bad)), at(4)) && is_due(&machine(Some(&bad)), at(5)));
        let mut moved = machine(Some(&good));
        moved.spec.connection.host = "192.0.2.99".into();
        assert!(is_due(&moved, at(1)), "another BMC");
        assert!(is_due(&machine(Some(&good)), at(-1)), "a clock that went back");
    }

    #[test]
    fn a_failure_takes_nothing_away_that_was_said() {
        let good = kept(&machine(None), Ok(said()), at(0));
        let later = kept(&machine(Some(&good)), Err("busy".into()), at(70));
        assert_eq!((later.uuid.as_deref(), later.problem), (Some("u-1"), None));
        let never = kept(&machine(None), Err("busy".into()), at(70));
        assert_eq!((never.uuid, never.problem.as_deref()), (None, Some("busy")));
    }
}
