//! Features: tests may not switch on a feature of a library that the programs lack. Cargo would compile that library,
//! and everything that uses it, a second time when the programs are built after the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, bail};

use super::finding::Finding;
use crate::workspace::cargo;

/// Asks cargo for the features of every library, with and without dev-dependencies.
pub(super) fn check() -> anyhow::Result<Vec<Finding>> {
    Ok(compare(&features("normal")?, &features("normal,dev")?))
}

fn features(edges: &str) -> anyhow::Result<String> {
    let output = Command::new(cargo())
        .args(["tree", "--workspace", "--prefix", "none", "--format", "{p}\t{f}"])
        .args(["--edges", edges])
        .output()
        .context("cargo tree does not start")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn compare(programs: &str, tests: &str) -> Vec<Finding> {
    let (programs, tests) = (parse(programs), parse(tests));
    let mut findings = Vec::new();
    for (library, features) in programs {
        let all = tests.get(library).unwrap_or(&features);
        let more: Vec<&str> = all.difference(&features).copied().collect();
        if !more.is_empty() {
            let name = library.split(' ').next().unwrap_or(library);
            let more = more.join(", ");
            findings.push(Finding::new(
                name,
                format!(
                    "only tests switch on its feature {more}, so programs and tests compile it twice: do without it, \
                     or let [workspace.dependencies] switch it on for a crate that ships"
                ),
            ));
        }
    }
    findings
}

/// Library with version -> features.
fn parse(tree: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut libraries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let Some((library, features)) = line.split_once('\t') else {
            continue;
        };
        // Seen before: "(*)". From this workspace: "(/its/folder)".
        let features = features.trim_end_matches("(*)").trim();
        let known = libraries
            .entry(library.split(" (").next().unwrap_or(library))
            .or_default();
        known.extend(features.split(',').filter(|feature| !feature.is_empty()));
    }
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_only_tests_have_is_found() {
        let programs = "agent v0.1.0 (/w/agent)\t\ntokio-stream v0.1.19\tnet\ntonic v0.14.9\tdefault (*)\n";
        let tests = "agent v0.1.0 (/w/agent)\t\ntokio-stream v0.1.19\tnet\n\ntokio-stream v0.1.19\tnet,sync (*)\n\
                     tonic v0.14.9\tdefault\nproptest v1.12.0\tstd\n";
        let found = compare(programs, tests);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].place, "tokio-stream");
        assert!(found[0].text.contains("feature sync,"), "{}", found[0]);
        assert_eq!(compare(programs, programs), []);
    }

    #[test]
    fn versions_of_a_library_are_apart() {
        let programs = "syn v2.0.1\tfull\nsyn v3.0.0\tfull,visit\n";
        assert_eq!(compare(programs, programs), []);
        assert_eq!(
            compare(programs, "syn v2.0.1\tfull,visit\nsyn v3.0.0\tfull,visit\n").len(),
            1
        );
    }
}
