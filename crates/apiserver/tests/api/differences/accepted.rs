//! `accepted.json`: the differences that are wanted, a reason each.

use serde::Deserialize;
use serde_json::Value;

use super::transcript::Difference;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// `case/step/pointer`; a `*` at the end stands for any rest.
    at: String,
    /// What each server gives, exactly.
    real: Value,
    ours: Value,
    /// Why the difference is wanted.
    why: String,
}

/// The list, with a mark on what was used.
pub(super) struct Accepted(Vec<(Entry, bool)>);

impl Accepted {
    pub(super) fn read() -> Accepted {
        let entries: Vec<Entry> = serde_json::from_str(include_str!("accepted.json")).unwrap();
        for entry in &entries {
            assert!(entry.why.len() > 20, "{} needs a reason", entry.at);
        }
        Accepted(entries.into_iter().map(|entry| (entry, false)).collect())
    }

    pub(super) fn covers(&mut self, found: &Difference) -> bool {
        let mut covered = false;
        for (entry, used) in &mut self.0 {
            let place = match entry.at.strip_suffix('*') {
                Some(beginning) => found.at.starts_with(beginning),
                None => found.at == entry.at,
            };
            if place && entry.real == found.real && entry.ours == found.ours {
                *used = true;
                covered = true;
            }
        }
        covered
    }

    /// Entries that no difference needed.
    pub(super) fn unused(&self) -> Vec<&str> {
        let unused = self.0.iter().filter(|(_, used)| !used);
        unused.map(|(entry, _)| entry.at.as_str()).collect()
    }
}

#[test]
fn an_entry_covers_its_place_and_values_only() {
    let entry = |at: &str| Entry {
        at: at.to_owned(),
        real: 1.into(),
        ours: 2.into(),
        why: String::new(),
    };
    let found = Difference {
        at: "case/step/code".to_owned(),
        real: 1.into(),
        ours: 2.into(),
    };
    let mut list = Accepted(vec![
        (entry("case/step/code"), false),
        (entry("case/other/*"), false),
    ]);
    assert!(list.covers(&found));
    assert!(!list.covers(&Difference {
        real: 3.into(),
        ..found
    }));
    assert_eq!(list.unused(), ["case/other/*"]);
}
