//! `cargo xtask check`: the rules of the workspace that no compiler checks.

mod circles;
mod documents;
mod exemptions;
mod features;
mod finding;
mod layers;
mod lexer;
mod metrics;
mod names;
mod purity;
mod sizes;
mod sources;

use exemptions::Exemptions;
use finding::Finding;
use sources::Sources;

use crate::workspace::Workspace;

/// Runs every check and prints what it finds; true when there is nothing.
pub(crate) fn run() -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let findings = findings(&workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("check: {} packages, no findings", workspace.packages.len()),
        count => println!("check: {count} findings"),
    }
    Ok(findings.is_empty())
}

fn findings(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let sources = Sources::read(workspace)?;
    let exemptions = Exemptions::read(&workspace.root.join("crates/xtask/exemptions.toml"))?;
    let mut findings = layers::check(workspace);
    findings.extend(features::check()?);
    findings.extend(documents::check(workspace, &sources));
    let readme = std::fs::read_to_string(workspace.root.join("README.md")).unwrap_or_default();
    findings.extend(documents::places(&workspace.root, &readme));
    findings.extend(metrics::check(&sources));
    findings.extend(names::check(&sources));
    let sizes = sizes::check(&sources);
    let purity = purity::check(&sources);
    let circles = circles::check(workspace, &sources)?;
    findings.extend(exemptions.apply(sizes, purity, circles));
    findings.sort();
    Ok(findings)
}
