//! The file of exemptions: one line per file, with a reason. One that nothing needs any more is a finding itself.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::finding::Finding;
use super::sizes::Sizes;

const FILE: &str = "crates/xtask/exemptions.toml";

/// The exemptions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Exemptions {
    /// Files over 500 lines.
    #[serde(default)]
    file_size: Vec<Exemption>,
    /// Pure modules with an effect.
    #[serde(default)]
    purity: Vec<Exemption>,
    /// Folders of packages with circles of files.
    #[serde(default)]
    circles: Vec<Exemption>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exemption {
    path: String,
    reason: String,
}

impl Exemptions {
    pub(super) fn read(path: &Path) -> anyhow::Result<Exemptions> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// What is left of the findings, and what is wrong with the exemptions.
    pub(super) fn apply(
        &self,
        sizes: Sizes,
        purity: Vec<(String, Finding)>,
        circles: Vec<(String, Finding)>,
    ) -> Vec<Finding> {
        let mut left = sizes.fixed;
        left.extend(reduce(&self.file_size, sizes.exemptible));
        left.extend(reduce(&self.purity, purity));
        left.extend(reduce(&self.circles, circles));
        left
    }
}

fn reduce(exemptions: &[Exemption], findings: Vec<(String, Finding)>) -> Vec<Finding> {
    let found: BTreeSet<String> = findings.iter().map(|(path, _)| path.clone()).collect();
    let exempt = |path: &str| {
        exemptions
            .iter()
            .any(|e| e.path == path && !e.reason.trim().is_empty())
    };
    let mut left: Vec<Finding> = findings
        .into_iter()
        .filter(|(path, _)| !exempt(path))
        .map(|(_, finding)| finding)
        .collect();
    for exemption in exemptions {
        if exemption.reason.trim().is_empty() {
            left.push(Finding::new(FILE, format!("{} has no reason", exemption.path)));
        } else if !found.contains(&exemption.path) {
            left.push(Finding::new(
                FILE,
                format!("{} is exempt for nothing: remove it", exemption.path),
            ));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemptions(reason: &str) -> Exemptions {
        let entry = Exemption {
            path: "a.rs".to_owned(),
            reason: reason.to_owned(),
        };
        Exemptions {
            purity: vec![entry],
            ..Exemptions::default()
        }
    }

    fn finding() -> Vec<(String, Finding)> {
        vec![("a.rs".to_owned(), Finding::new("a.rs:1", "x"))]
    }

    #[test]
    fn a_reason_exempts() {
        assert!(
            exemptions("generated table")
                .apply(Sizes::default(), finding(), Vec::new())
                .is_empty()
        );
    }

    #[test]
    fn no_reason_exempts_nothing_and_is_found() {
        assert_eq!(
            exemptions(" ")
                .apply(Sizes::default(), finding(), Vec::new())
                .len(),
            2
        );
    }

    #[test]
    fn an_exemption_for_nothing_is_found() {
        assert_eq!(
            exemptions("old")
                .apply(Sizes::default(), Vec::new(), Vec::new())
                .len(),
            1
        );
    }
}
