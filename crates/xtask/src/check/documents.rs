//! Documents: each package says in one sentence what it owns, and each file of a library begins with its docs.

use super::Finding;
use super::sources::Sources;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace, sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let text = package.description.trim();
        if text.is_empty() || text == "TO BE SAID" {
            findings.push(Finding::new(
                &package.name,
                "no description: say in one sentence what it owns",
            ));
        }
    }
    for source in &sources.0 {
        let first = source.text.lines().next().unwrap_or_default();
        if !first.starts_with("//!") {
            findings.push(Finding::new(
                source.path.display().to_string(),
                "no module docs: begin with `//!` and say what it owns and what it refuses",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sources::Source;
    use super::*;
    use crate::workspace::Package;

    fn workspace(description: &str) -> Workspace {
        let package = Package {
            name: "a".to_owned(),
            description: description.to_owned(),
            ..Package::default()
        };
        Workspace {
            packages: vec![package],
            ..Workspace::default()
        }
    }

    #[test]
    fn descriptions_are_asked_for() {
        for (text, findings) in [("Owns a thing.", 0), ("", 1), (" ", 1), ("TO BE SAID", 1)] {
            assert_eq!(
                check(&workspace(text), &Sources::default()).len(),
                findings,
                "{text:?}"
            );
        }
    }

    #[test]
    fn module_docs_are_asked_for() {
        for (text, findings) in [("//! Docs.\n", 0), ("use std::fmt;\n", 1)] {
            let sources = Sources(vec![Source::new("crates/a/src/b.rs", text)]);
            assert_eq!(check(&workspace("Owns."), &sources).len(), findings);
        }
    }
}
