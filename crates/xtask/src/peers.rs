//! Programs that only tests run against, built from the Go modules below `crates/sim/peers/`: `go.sum` pins every byte of
//! them. Go's own build cache keeps what was compiled, so a second build takes seconds.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// Name of the program, folder of its module, and the package that is its `main`.
const PEERS: [(&str, &str, &str); 6] = [
    ("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    (
        "clusterctl",
        "cluster-api",
        "sigs.k8s.io/cluster-api/cmd/clusterctl",
    ),
    ("autoscaler", "cluster-api", "./autoscaler"),
    ("conversion", "cluster-api", "./conversion"),
    ("s3", "s3", "."),
    ("helm", "helm", "."),
];

/// Builds them to where the crate `sim` looks for them.
pub(crate) fn build() -> anyhow::Result<()> {
    let modules = Workspace::load()?.root.join("crates/sim/peers");
    let folder = folder()?;
    for (name, module, package) in PEERS {
        let program = folder.join(name);
        let status = Command::new(go()?)
            .current_dir(modules.join(module))
            .env("CGO_ENABLED", "0")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=readonly")
            // As the image recipes build theirs, so that what both need is compiled once.
            .args([
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-gcflags=all=-dwarf=false",
            ])
            .args(["-ldflags", "-s -w", "-o"])
            .arg(&program)
            .arg(package)
            .status()
            .context("go does not start")?;
        if !status.success() {
            bail!("go build {package} in crates/sim/peers/{module}: {status}");
        }
        eprintln!("    {}", program.display());
    }
    Ok(())
}

/// `${XDG_CACHE_HOME:-~/.cache}/gantry/peers`.
fn folder() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")));
    Ok(cache
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("gantry/peers"))
}

/// The Go command, which may be installed without being in PATH.
fn go() -> anyhow::Result<PathBuf> {
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut places = folders.iter().map(|folder| folder.join("go"));
    let found = places.find(|go| go.is_file());
    let local = || Some(PathBuf::from("/usr/local/go/bin/go")).filter(|go| go.is_file());
    found.or_else(local).context("no go in PATH or /usr/local/go/bin")
}
