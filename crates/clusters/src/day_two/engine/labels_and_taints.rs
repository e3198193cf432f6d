//! Labels and taints of a node: those that the documents of its cluster name are kept, those that they named before go, and
//! all others are somebody else's.

use std::collections::{BTreeMap, BTreeSet};

use resources::anywhere::Taint;
use resources::gantry::NodeKeys;

/// What a node is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelsAndTaints {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// What the documents decide about. What is in here and is not wanted goes; it may be there from before.
    pub keys: NodeKeys,
}

/// What differs between a node and what it is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// Labels with their new values; those without one go.
    pub labels: BTreeMap<String, Option<String>>,
    /// Taints that come, in place of those with the same key and effect.
    pub taints: Vec<Taint>,
    /// Taints that go, as `key:effect`.
    pub gone: BTreeSet<String>,
}

impl LabelsAndTaints {
    /// What a node with these labels and taints lacks, and has too many.
    #[must_use]
    pub fn change(&self, labels: &BTreeMap<String, String>, taints: &[Taint]) -> NodeChange {
        let wanted = self
            .labels
            .iter()
            .filter(|(key, value)| labels.get(*key) != Some(*value));
        let mut change = NodeChange {
            labels: wanted
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
            ..NodeChange::default()
        };
        let left = self.keys.labels.iter();
        let left = left.filter(|key| labels.contains_key(*key) && !self.labels.contains_key(*key));
        change.labels.extend(left.map(|key| (key.clone(), None)));
        let is_there = |wanted: &Taint| {
            let mut known = taints.iter();
            known.any(|known| known.id() == wanted.id() && value(known) == value(wanted))
        };
        let missing = self.taints.iter().filter(|taint| !is_there(taint));
        change.taints = missing.cloned().collect();
        let wanted: BTreeSet<String> = self.taints.iter().map(Taint::id).collect();
        let there = taints.iter().map(Taint::id);
        change.gone = there
            .filter(|id| self.keys.taints.contains(id) && !wanted.contains(id))
            .collect();
        change
    }
}

/// No value and an empty one are the same.
fn value(taint: &Taint) -> &str {
    taint.value.as_deref().unwrap_or_default()
}

impl NodeChange {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.taints.is_empty() && self.gone.is_empty()
    }

    /// The labels of a node afterwards.
    #[must_use]
    pub fn labels(&self, mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
        for (key, value) in &self.labels {
            match value {
                Some(value) => labels.insert(key.clone(), value.clone()),
                None => labels.remove(key),
            };
        }
        labels
    }

    /// The taints of a node afterwards.
    #[must_use]
    pub fn taints(&self, mut taints: Vec<Taint>) -> Vec<Taint> {
        let come: BTreeSet<String> = self.taints.iter().map(Taint::id).collect();
        taints.retain(|known| !come.contains(&known.id()) && !self.gone.contains(&known.id()));
        taints.extend(self.taints.iter().cloned());
        taints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = all.iter();
        all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn taint(text: &str) -> Taint {
        let (key, effect) = text.split_once(':').unwrap();
        let (key, value) = key
            .split_once('=')
            .map_or((key, None), |(key, value)| (key, Some(value)));
        Taint {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            effect: effect.to_owned(),
            time_added: None,
        }
    }

    fn taints(all: &[&str]) -> Vec<Taint> {
        all.iter().map(|text| taint(text)).collect()
    }

    fn keys(labels: &[&str], taints: &[&str]) -> NodeKeys {
        let set = |all: &[&str]| all.iter().map(|key| (*key).to_owned()).collect();
        NodeKeys {
            labels: set(labels),
            taints: set(taints),
        }
    }

    #[test]
    fn what_is_wanted_comes_and_what_was_wanted_goes() {
        let wanted = LabelsAndTaints {
            labels: labels(&[("rack", "r1"), ("tier", "gold")]),
            taints: taints(&["dedicated=db:NoSchedule", "new:NoExecute"]),
            keys: keys(
                &["rack", "tier", "old", "older"],
                &["dedicated:NoSchedule", "new:NoExecute", "old:NoSchedule"],
            ),
        };
        let there = labels(&[("rack", "r2"), ("tier", "gold"), ("old", "x"), ("theirs", "y")]);
        let mut known = taints(&[
            "dedicated=web:NoSchedule",
            "old:NoSchedule",
            // The same key with another effect is another taint.
            "old:NoExecute",
        ]);
        let mut cordoned = taint("node.kubernetes.io/unschedulable:NoSchedule");
        cordoned.time_added = Some("2026-11-01T12:00:00Z".to_owned());
        known.push(cordoned.clone());
        let change = wanted.change(&there, &known);
        assert_eq!(
            change.labels(there),
            labels(&[("rack", "r1"), ("tier", "gold"), ("theirs", "y")])
        );
        let after = change.taints(known);
        let mut expected = taints(&["old:NoExecute"]);
        expected.push(cordoned);
        expected.extend(taints(&["dedicated=db:NoSchedule", "new:NoExecute"]));
        assert_eq!(after, expected);
        assert!(
            wanted
                .change(
                    &labels(&[("rack", "r1"), ("tier", "gold"), ("theirs", "y")]),
                    &after
                )
                .is_empty()
        );
    }

    #[test]
    fn an_empty_value_is_none() {
        let wanted = LabelsAndTaints {
            taints: taints(&["a:NoSchedule"]),
            ..LabelsAndTaints::default()
        };
        let change = wanted.change(&BTreeMap::new(), &taints(&["a=:NoSchedule"]));
        assert!(change.is_empty(), "{change:?}");
    }
}
