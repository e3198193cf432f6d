//! Marks of ownership: labels, which Docker puts on an object as it makes it and never changes. User data is none of them:
//! whoever reaches the daemon reads labels.

use std::collections::BTreeMap;

use driver::v1::Owner;

/// Id of the installation of the core.
pub(crate) const INSTALLATION: &str = "dev.gantry.installation";
/// Id of the cluster.
pub(crate) const CLUSTER_UID: &str = "dev.gantry.cluster-uid";
/// Id of the machine.
pub(crate) const MACHINE_UID: &str = "dev.gantry.machine-uid";
/// Digest of an archive that an image was made of.
pub(crate) const IMAGE_SHA256: &str = "dev.gantry.image-sha256";
const CLUSTER: &str = "dev.gantry.cluster";
const MACHINE: &str = "dev.gantry.machine";
const ROLE: &str = "dev.gantry.role";
const SPEC_HASH: &str = "dev.gantry.spec-hash";

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// The labels of a machine. Those for people give way to marks.
pub(crate) fn of_machine(
    owner: &Owner,
    spec_hash: &str,
    people: &std::collections::HashMap<String, String>,
) -> Labels {
    let mut labels: Labels = people
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    labels.extend(of_group(owner));
    for (name, value) in [
        (MACHINE_UID, &owner.machine_uid),
        (MACHINE, &owner.machine_name),
        (ROLE, &owner.role),
    ] {
        labels.insert(name.to_owned(), value.clone());
    }
    labels.insert(SPEC_HASH.to_owned(), spec_hash.to_owned());
    labels
}

/// The labels of what the machines of a cluster share.
pub(crate) fn of_group(owner: &Owner) -> Labels {
    [
        (INSTALLATION, &owner.installation_id),
        (CLUSTER_UID, &owner.cluster_uid),
        (CLUSTER, &owner.cluster_name),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .collect()
}

/// Whose machine bears these labels, and of which spec; none when they are no machine's.
pub(crate) fn read(labels: &Labels) -> Option<(Owner, String)> {
    let text = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let owner = Owner {
        installation_id: text(INSTALLATION),
        cluster_uid: text(CLUSTER_UID),
        cluster_name: text(CLUSTER),
        machine_uid: text(MACHINE_UID),
        machine_name: text(MACHINE),
        role: text(ROLE),
        fence: 0,
    };
    let is_marked = !owner.installation_id.is_empty() && !owner.machine_uid.is_empty();
    is_marked.then(|| (owner, text(SPEC_HASH)))
}

/// Whether the labels are those of an owner's machine.
pub(crate) fn are_of(labels: &Labels, owner: &Owner) -> bool {
    let has = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
    has(INSTALLATION, &owner.installation_id) && has(MACHINE_UID, &owner.machine_uid)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use driver::v1::Owner;

    use super::{Labels, MACHINE_UID, are_of, of_group, of_machine, read};

    #[test]
    fn marks_come_back_and_give_way_to_nobody() {
        let owner = Owner {
            installation_id: "i".to_owned(),
            cluster_uid: "c".to_owned(),
            cluster_name: "prod".to_owned(),
            machine_uid: "m".to_owned(),
            machine_name: "prod-x".to_owned(),
            role: "worker".to_owned(),
            fence: 0,
        };
        let people = HashMap::from([
            ("team".to_owned(), "blue".to_owned()),
            (MACHINE_UID.to_owned(), "another".to_owned()),
        ]);
        let labels = of_machine(&owner, "hash", &people);
        assert_eq!(labels.get("team").map(String::as_str), Some("blue"));
        assert_eq!(read(&labels), Some((owner.clone(), "hash".to_owned())));
        assert!(are_of(&labels, &owner));
        let other = Owner {
            installation_id: "another".to_owned(),
            ..owner.clone()
        };
        assert!(!are_of(&labels, &other));
        assert_eq!(read(&of_group(&owner)), None, "a group is no machine");
        assert_eq!(read(&Labels::new()), None);
    }
}
