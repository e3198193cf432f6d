//! Names and ids of machines that a plan makes. They follow from the id of the cluster and the number of the plan, so the
//! same observation gives the same plan, and no two plans give the same name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Longest label of DNS (RFC 1123 §2.1), and longest value of a label of Kubernetes.
pub(crate) const LABEL: usize = 63;
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

    /// The next name in a pool: `<cluster>-<pool>-<5 characters>`, with a shorter form of what is too long.
    pub(crate) fn next(&mut self, pool: &str) -> String {
        let begin = object_name(&format!("{}-{pool}", self.cluster), LABEL - 1 - LENGTH);
        let number = self.tried.entry(pool.to_owned()).or_default();
        loop {
            let seed = format!("{}/{}/{pool}/{number}", self.uid, self.plan);
            *number = number.wrapping_add(1);
            let name = format!("{begin}-{}", letters(&seed));
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Name and id of the machine that a node becomes. They follow from the node, so that adopting it again makes no second machine;
/// `registered` is when it joined, because a later node of the same host is another one.
pub(crate) fn adopted_name(
    (cluster, cluster_uid): (&str, &str),
    pool: &str,
    provider_id: &str,
    registered: Option<Timestamp>,
) -> (String, String) {
    let begin = object_name(&format!("{cluster}-{pool}"), LABEL - 1 - LENGTH);
    let registered = registered.map(|at| at.to_string()).unwrap_or_default();
    let seed = format!("{cluster_uid}/adopted/{provider_id}/{registered}");
    (format!("{begin}-{}", letters(&seed)), uid(&seed))
}

/// A name as objects have it, of at most so many bytes: in lower case, and what is too long ends in five characters of its hash.
pub(crate) fn object_name(name: &str, most: usize) -> String {
    let lower = name.to_ascii_lowercase();
    if lower.len() <= most {
        return lower;
    }
    let begin: String = lower.chars().take(most - 1 - LENGTH).collect();
    format!("{}-{}", begin.trim_end_matches('-'), letters(name))
}

fn letters(seed: &str) -> String {
    let hash = Sha256::digest(seed.as_bytes());
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    hash.iter().take(LENGTH).map(letter).collect()
}

/// Id of a machine: a UUID (RFC 9562 §5.8, version 8) from the SHA-256 of cluster id, plan number and name.
pub(crate) fn machine_uid(cluster_uid: &str, plan: u32, name: &str) -> String {
    uid(&format!("{cluster_uid}/{plan}/{name}"))
}

fn uid(seed: &str) -> String {
    let hash = Sha256::digest(seed.as_bytes());
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
    fn long_names_stay_names() {
        let group = "Workers-of-the-seventh-warehouse-beside-the-old-harbour-no-12345";
        let mut names = Names::new("a-cluster-with-a-name-of-35-letters", "7c9e", 1, BTreeSet::new());
        let (one, two) = (names.next(group), names.next(&group.replace('5', "6")));
        for name in [&one, &two] {
            assert!(name.len() <= LABEL, "{name}");
            assert!(
                name.starts_with("a-cluster-with-a-name-of-35-letters-workers-of"),
                "{name}"
            );
        }
        let of_group = |name: &str| name[..name.len() - LENGTH].to_owned();
        assert_ne!(of_group(&one), of_group(&two));
        assert_eq!(object_name("lab-Md-0", LABEL), "lab-md-0");
    }

    #[test]
    fn a_node_becomes_the_same_machine_whenever_it_is_adopted() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let of = |id: &str, registered| adopted_name(("prod", "7c9e"), "md-0", id, registered);
        let one = of("tinkerbell://n/a", at(1));
        assert_eq!(one, of("tinkerbell://n/a", at(1)));
        assert!(one.0.starts_with("prod-md-0-") && one.0.len() == "prod-md-0-".len() + LENGTH);
        assert!(uuid::Uuid::parse_str(&one.1).is_ok());
        for other in [of("tinkerbell://n/b", at(1)), of("tinkerbell://n/a", at(2))] {
            assert_ne!(one.0, other.0);
            assert_ne!(one.1, other.1);
        }
    }

    #[test]
    fn ids_are_uuids() {
        let uid = machine_uid("7c9e", 1, "prod-md-0-x7k2p");
        assert_eq!(uuid::Uuid::parse_str(&uid).unwrap().get_version_num(), 8);
        assert_ne!(uid, machine_uid("7c9e", 2, "prod-md-0-x7k2p"));
    }
}
