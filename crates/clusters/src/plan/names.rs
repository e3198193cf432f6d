//! Names and ids of machines that a plan makes. They follow from the id of the cluster and the number of the plan, so the
//! same observation gives the same plan, and no two plans give the same name.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

/// Letters and digits of a name's end, without vowels and what looks alike.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const LENGTH: usize = 5;

/// Gives names to new machines of one plan.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    cluster: &'a str,
    uid: &'a str,
    plan: u32,
    used: BTreeSet<String>,
    /// The number that was tried last in each pool.
    tried: BTreeMap<String, u32>,
}

impl<'a> Names<'a> {
    /// For a plan of this number; names in `used` are not given.
    pub(crate) fn new(cluster: &'a str, uid: &'a str, plan: u32, used: BTreeSet<String>) -> Self {
        Self {
            cluster,
            uid,
            plan,
            used,
            tried: BTreeMap::new(),
        }
    }

    /// The next name in a pool: `<cluster>-<pool>-<5 characters>`.
    pub(crate) fn next(&mut self, pool: &str) -> String {
        let number = self.tried.entry(pool.to_owned()).or_default();
        loop {
            let seed = format!("{}/{}/{pool}/{number}", self.uid, self.plan);
            *number = number.wrapping_add(1);
            let name = format!("{}-{pool}-{}", self.cluster, letters(&seed));
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}

fn letters(seed: &str) -> String {
    let hash = Sha256::digest(seed.as_bytes());
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    hash.iter().take(LENGTH).map(letter).collect()
}

/// Id of a machine: a UUID (RFC 9562 §5.8, version 8) from the SHA-256 of cluster id, plan number and name.
pub(crate) fn machine_uid(cluster_uid: &str, plan: u32, name: &str) -> String {
    let hash = Sha256::digest(format!("{cluster_uid}/{plan}/{name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_within_a_plan_and_between_plans() {
        let all = |plan: u32| -> Vec<String> {
            let mut names = Names::new("prod", "7c9e", plan, BTreeSet::new());
            (0..200).map(|_| names.next("md-0")).collect()
        };
        let (one, two) = (all(1), all(2));
        assert_eq!(one, all(1), "the same input gives the same names");
        let distinct: BTreeSet<&String> = one.iter().chain(&two).collect();
        assert_eq!(distinct.len(), 400);
        assert!(one[0].starts_with("prod-md-0-") && one[0].len() == "prod-md-0-".len() + LENGTH);
        let used: BTreeSet<String> = one[..3].iter().cloned().collect();
        assert_eq!(Names::new("prod", "7c9e", 1, used).next("md-0"), one[3]);
    }

    #[test]
    fn ids_are_uuids() {
        let uid = machine_uid("7c9e", 1, "prod-md-0-x7k2p");
        assert_eq!(uuid::Uuid::parse_str(&uid).unwrap().get_version_num(), 8);
        assert_ne!(uid, machine_uid("7c9e", 2, "prod-md-0-x7k2p"));
    }
}
