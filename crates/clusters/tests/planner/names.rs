//! Names of machines.

use std::collections::BTreeSet;

use clusters::{Identity, Policy, Seen, plan};

use crate::samples::{now, wanted};

/// The machines that are made of a cluster with this name, this worker group and this id.
fn made(name: &str, group: &str, cluster_uid: &str) -> BTreeSet<String> {
    let mut wanted = wanted(3, &[20]);
    wanted.name = name.to_owned();
    wanted.pools[1].name = group.to_owned();
    let identity = Identity {
        cluster_uid,
        number: 1,
    };
    let verdict = plan(&wanted, &Seen::nothing(), Policy::default(), identity, now());
    let steps = verdict.plan.unwrap().steps.into_iter();
    steps.filter_map(|step| step.machine).collect()
}

#[test]
fn clusters_whose_names_run_together_have_different_machines() {
    let one = made("prod", "b-md", "7c9e6679-7425-40de-944b-e07fc1f90ae7");
    let other = made("prod-b", "md", "0b8f3a0e-0f53-4b0c-9d8e-5c1f4c3a9d11");
    let is_ambiguous = |name: &&String| name.starts_with("prod-b-md-");
    assert_eq!(
        [&one, &other].map(|names| names.iter().filter(is_ambiguous).count()),
        [20, 20]
    );
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
    // A cluster of the same name later, or another plan of it, takes none of them either.
    let again = made("prod", "b-md", "0b8f3a0e-0f53-4b0c-9d8e-5c1f4c3a9d11");
    assert!(one.is_disjoint(&again));
}
