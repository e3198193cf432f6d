//! What `cargo metadata` says of the workspace: packages, their layers, and the edges between them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

/// The workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workspace {
    /// Folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// Packages in the order of their names.
    pub(crate) packages: Vec<Package>,
}

/// One package.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) description: String,
    pub(crate) layer: Option<u64>,
    /// Dependencies on packages of the workspace.
    pub(crate) edges: Vec<Edge>,
}

/// A dependency on a package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) to: String,
    /// True when only tests use it.
    pub(crate) dev: bool,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    description: Option<String>,
    metadata: Option<Value>,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo, without resolving dependencies.
    pub(crate) fn load() -> anyhow::Result<Workspace> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .context("cargo metadata does not start")?;
        if !output.status.success() {
            bail!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let metadata = serde_json::from_slice(&output.stdout).context("answer of cargo metadata")?;
        Ok(Workspace::from_metadata(metadata))
    }

    fn from_metadata(metadata: Metadata) -> Workspace {
        let mut packages: Vec<Package> = metadata
            .packages
            .into_iter()
            .map(Package::from_metadata)
            .collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Workspace {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            packages,
        }
    }

    /// The package with that name.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Package {
    fn from_metadata(package: MetadataPackage) -> Package {
        let layer = package
            .metadata
            .as_ref()
            .and_then(|m| m.get("layer"))
            .and_then(Value::as_u64);
        let folder = package
            .manifest_path
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default();
        let edges = package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.path.is_some())
            .map(|dependency| Edge {
                to: dependency.name,
                dev: dependency.kind.as_deref() == Some("dev"),
            })
            .collect();
        Package {
            name: package.name,
            folder,
            description: package.description.unwrap_or_default(),
            layer,
            edges,
        }
    }
}

/// The cargo that runs us, so that a pinned toolchain stays pinned.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
