//! Whether the free hardware is enough, and each machine wanted by one group only.

use std::collections::BTreeMap;

use kube::ResourceExt;
use resources::gantry::SelectorTerm;

use crate::bundle::{ClusterBundle, selector_terms};
use crate::violation::{Report, Violation};

/// A free machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeHardware {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl FreeHardware {
    fn matches(&self, terms: &[SelectorTerm]) -> bool {
        terms.iter().any(|term| term.selects(&self.labels))
    }
}

/// Enough machines for each selector, groups with equal selectors added up, and no machine that two different selectors
/// match.
#[must_use]
pub fn check_hardware(bundle: &ClusterBundle, free: &[FreeHardware]) -> Vec<Violation> {
    // (terms, wanted, path of the last group, configurations)
    let mut demands: Vec<(Vec<SelectorTerm>, usize, String, Vec<String>)> = Vec::new();
    for group in bundle.groups() {
        // Virtual machines take no hardware.
        let Some(config) = group.metal() else { continue };
        let (terms, config) = (selector_terms(config), config.name_any());
        match demands.iter_mut().find(|(known, ..)| *known == terms) {
            Some((_, wanted, path, configs)) => {
                *wanted += group.count;
                *path = group.path;
                configs.push(config);
            }
            None => demands.push((terms, group.count, group.path, vec![config])),
        }
    }
    let mut report = Report::new("Cluster", &bundle.name());
    for (terms, wanted, path, _) in &demands {
        let have = free.iter().filter(|machine| machine.matches(terms)).count();
        if have < *wanted {
            report.add(
                format!("{path}.machineGroupRef"),
                format!(
                    "minimum hardware count not met for selector {}: have {have} free, require {wanted}",
                    SelectorTerm::alternatives(terms)
                ),
                "add rows with these labels to hardware.csv, or lower the count",
            );
        }
    }
    for machine in free {
        let matched: Vec<String> = demands
            .iter()
            .filter(|(terms, ..)| machine.matches(terms))
            .map(|(terms, ..)| SelectorTerm::alternatives(terms))
            .collect();
        if matched.len() > 1 {
            report.add(
                "spec",
                format!(
                    "hardware must only satisfy 1 selector: {} satisfies {}",
                    machine.name,
                    matched.join(" and ")
                ),
                "give each group labels of its own in hardware.csv",
            );
        }
    }
    report.found
}
