//! Documents: each package says in one sentence what it owns, each file of a library begins with its docs, which have no code
//! that nobody runs, and the README's table "where do I change ...?" names places that exist.

use std::path::Path;

use super::finding::Finding;
use super::sources::{Source, Sources};
use crate::workspace::Workspace;

/// What a block in a doc comment may be.
const LANGUAGES: [&str; 4] = ["text", "sh", "json", "yaml"];

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
        findings.extend(examples(source));
    }
    findings
}

/// Blocks of Rust in doc comments. `cargo xtask ci` runs no tests of documentation: looking for them takes a minute.
fn examples(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_open = false;
    for (number, line) in source.text.lines().enumerate() {
        let line = line.trim_start();
        let docs = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let Some(language) = docs.and_then(|docs| docs.trim().strip_prefix("```")) else {
            continue;
        };
        is_open = !is_open;
        if is_open && !LANGUAGES.contains(&language) {
            let text = format!(
                "a block of Rust that no test runs: write a test, or say what it is: {}",
                LANGUAGES.join(", ")
            );
            findings.push(Finding::new(source.place(number), text));
        }
    }
    findings
}

/// Places in the table of a README that do not exist.
pub(super) fn places(root: &Path, readme: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in readme
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with('|'))
    {
        // A path in back ticks has a slash; what stands in angle brackets is for the reader to fill in.
        let paths = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| text.contains('/') && !text.contains(' '));
        for path in paths {
            let known = path.split('<').next().unwrap_or(path);
            if !root.join(known).exists() {
                let place = format!("README.md:{}", number + 1);
                findings.push(Finding::new(
                    place,
                    format!("{path} does not exist: say where it is now"),
                ));
            }
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
    fn places_of_the_table_must_exist() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        let table = "text `b/c`\n| what | where |\n| x | `a/<kind>.rs`, `other.rs` |\n| y | `b/c` |\n";
        let found = places(root.path(), table);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].to_string().starts_with("README.md:4: b/c"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn code_in_docs_is_not_run() {
        for (text, found) in [
            ("//! ```text\n//! a -> b\n//! ```\n", 0),
            ("//! Docs.\n\n    /// ```\n    /// let a = 1;\n    /// ```\n", 1),
            ("//! ```rust,no_run\n//! ```\n//! ```\n//! ```\n", 2),
            ("//! Docs.\n// ```\n", 0),
        ] {
            assert_eq!(
                examples(&Source::new("crates/a/src/b.rs", text)).len(),
                found,
                "{text}"
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
