//! The bill of materials: every crate that is compiled into the programs, as SPDX 2.3 JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::artifacts::Release;
use super::run::output;
use crate::programs::TARGET;
use crate::workspace::cargo;

/// Packages whose programs ship.
const ROOTS: [&str; 2] = ["gantry", "agent"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// Writes the file.
pub(super) fn write(release: &Release) -> anyhow::Result<PathBuf> {
    let metadata = output(Command::new(cargo()).current_dir(&release.workspace.root).args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        TARGET,
    ]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("answer of cargo metadata")?;
    let to = release.artifact(".spdx.json");
    std::fs::write(&to, serde_json::to_vec_pretty(&document(release, &metadata)?)?)?;
    Ok(to)
}

fn document(release: &Release, metadata: &Metadata) -> anyhow::Result<Value> {
    let reached = reached(metadata);
    let packages = metadata
        .packages
        .iter()
        .filter(|package| reached.contains(package.id.as_str()));
    let described: Vec<Value> = packages.clone().map(described).collect();
    let contained = packages.map(|package| {
        json!({
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": reference(package),
        })
    });
    let seconds: i64 = release.time.parse().context("time of the commit")?;
    let time =
        output(Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]))?;
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("gantry-{}", release.version),
        "documentNamespace": format!("urn:gantry:release:{}:{seconds}", release.version),
        "creationInfo": {"created": time, "creators": ["Tool: cargo xtask release"]},
        "packages": described,
        "relationships": contained.collect::<Vec<_>>(),
    }))
}

/// What the programs are compiled from; dependencies of builds and tests are not.
fn reached(metadata: &Metadata) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let roots = metadata
        .packages
        .iter()
        .filter(|package| ROOTS.contains(&package.name.as_str()));
    let mut left: Vec<&str> = roots.map(|package| package.id.as_str()).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = left.pop() {
        if !reached.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).map_or(&[][..], |node| &node.deps);
        let compiled = dependencies
            .iter()
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        left.extend(compiled.map(|dependency| dependency.pkg.as_str()));
    }
    reached
}

fn described(package: &Package) -> Value {
    let from_registry = package.source.is_some();
    let license = package
        .license
        .clone()
        .unwrap_or_else(|| "NOASSERTION".to_owned());
    // Crates of before 2018 write a slash where SPDX has OR.
    let license = license.replace('/', " OR ");
    json!({
        "SPDXID": reference(package),
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
        "externalRefs": if from_registry {
            json!([{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": format!("pkg:cargo/{}@{}", package.name, package.version),
            }])
        } else {
            json!([])
        },
    })
}

/// SPDX allows letters, digits, dots and dashes.
fn reference(package: &Package) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
            c
        } else {
            '-'
        }
    };
    let id: String = format!("{}-{}", package.name, package.version)
        .chars()
        .map(fits)
        .collect();
    format!("SPDXRef-{id}")
}
