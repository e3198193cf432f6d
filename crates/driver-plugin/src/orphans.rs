//! Which objects at a provider are orphans. Pure.
//!
//! A machine is written down in the API before it is made, and its object goes only when nothing is left of it. So what bears
//! our mark and has no ProviderMachine is an orphan, if the API was read after the provider.

use std::collections::BTreeSet;

use driver::v1::MachineStatus;
use jiff::{SignedDuration, Timestamp};
use resources::Time;
use resources::gantry::{Orphan, OrphanList};

/// Orphans that are kept in a status.
const KEPT: usize = 500;

/// The list that follows from a complete list of the provider and, read after it, the ids of all machines in the API.
pub(crate) fn orphans(
    before: Option<&OrphanList>,
    installation: &str,
    listed: &[MachineStatus],
    known: &BTreeSet<String>,
    (now, apart): (Timestamp, SignedDuration),
) -> OrphanList {
    let ours = |machine: &&MachineStatus| {
        let owner = machine.owner.as_ref();
        owner.is_some_and(|owner| owner.installation_id == installation && !owner.machine_uid.is_empty())
    };
    let ours: Vec<&MachineStatus> = listed.iter().filter(ours).collect();
    let unknown = ours.iter().filter_map(|machine| orphan(machine, known));
    let mut orphans: Vec<Orphan> = unknown
        .map(|orphan| with_history(orphan, before, (now, apart)))
        .collect();
    orphans.sort_by(|one, other| (&one.name, &one.provider_id).cmp(&(&other.name, &other.provider_id)));
    orphans.truncate(KEPT);
    OrphanList {
        request: None,
        asked_at: Some(Time(now)),
        error: None,
        listed_at: Some(Time(now)),
        machines: u32::try_from(ours.len()).unwrap_or(u32::MAX),
        orphans,
    }
}

fn orphan(machine: &MachineStatus, known: &BTreeSet<String>) -> Option<Orphan> {
    let owner = machine.owner.as_ref()?;
    if known.contains(&owner.machine_uid) {
        return None;
    }
    let id = machine
        .identity
        .as_ref()
        .map(|identity| identity.provider_id.clone());
    let phase = machine.phase().as_str_name().trim_start_matches("PHASE_");
    Some(Orphan {
        name: owner.machine_name.clone(),
        machine_uid: owner.machine_uid.clone(),
        cluster: owner.cluster_name.clone(),
        provider_id: id.unwrap_or_default(),
        phase: phase.to_lowercase(),
        since: None,
        confirmed: false,
    })
}

/// An orphan is confirmed when it was one in a list long enough ago, too.
fn with_history(
    mut orphan: Orphan,
    before: Option<&OrphanList>,
    (now, apart): (Timestamp, SignedDuration),
) -> Orphan {
    let same =
        |known: &&Orphan| known.machine_uid == orphan.machine_uid && known.provider_id == orphan.provider_id;
    let known = before.and_then(|before| before.orphans.iter().find(same));
    let since = known
        .and_then(|known| known.since.as_ref())
        .map_or(now, |since| since.0);
    orphan.confirmed = known.is_some() && now >= steps::later(since, apart);
    orphan.since = Some(Time(since));
    orphan
}

#[cfg(test)]
mod tests {
    use driver::v1::{MachineIdentity, Owner, Phase};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn machine(installation: &str, uid: &str, id: u32) -> MachineStatus {
        MachineStatus {
            owner: Some(Owner {
                installation_id: installation.to_owned(),
                machine_uid: uid.to_owned(),
                machine_name: format!("m-{uid}"),
                ..Owner::default()
            }),
            identity: Some(MachineIdentity {
                provider_id: format!("memory://{id}"),
                keys: None,
            }),
            phase: Phase::Running.into(),
            ..MachineStatus::default()
        }
    }

    #[test]
    fn what_is_ours_and_unknown_is_an_orphan() {
        let listed = [
            machine("us", "known", 1),
            machine("us", "lost", 2),
            machine("others", "lost", 3),
            machine("us", "", 4),
            MachineStatus::default(),
        ];
        let known = BTreeSet::from(["known".to_owned()]);
        let apart = SignedDuration::from_secs(20);
        let first = orphans(None, "us", &listed, &known, (at(100), apart));
        assert_eq!(first.machines, 2);
        let expected = Orphan {
            name: "m-lost".to_owned(),
            machine_uid: "lost".to_owned(),
            provider_id: "memory://2".to_owned(),
            phase: "running".to_owned(),
            since: Some(Time(at(100))),
            ..Orphan::default()
        };
        assert_eq!(first.orphans, [expected], "seen once");
        for (now, confirmed) in [(110, false), (120, true)] {
            let next = orphans(Some(&first), "us", &listed, &known, (at(now), apart));
            let orphan = &next.orphans[0];
            assert_eq!(
                (orphan.confirmed, &orphan.since),
                (confirmed, &Some(Time(at(100))))
            );
        }
        let known = BTreeSet::from(["known".to_owned(), "lost".to_owned()]);
        let next = orphans(Some(&first), "us", &listed, &known, (at(120), apart));
        assert!(next.orphans.is_empty());
    }

    #[test]
    fn another_object_of_the_same_machine_begins_its_own_time() {
        let apart = SignedDuration::from_secs(20);
        let none = BTreeSet::new();
        let first = orphans(None, "us", &[machine("us", "a", 1)], &none, (at(0), apart));
        let listed = [machine("us", "a", 1), machine("us", "a", 2)];
        let next = orphans(Some(&first), "us", &listed, &none, (at(60), apart));
        let confirmed: Vec<bool> = next.orphans.iter().map(|orphan| orphan.confirmed).collect();
        assert_eq!(confirmed, [true, false]);
    }
}
