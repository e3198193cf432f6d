//! `cargo xtask deny`: licences, bans and sources of all dependencies, by cargo-deny and `deny.toml`. It is of the full
//! tier: run by hand when dependencies change. cargo-deny's advisories need a database from the network, so they are
//! not asked for.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::workspace::cargo;

/// True when nothing is denied.
pub(crate) fn run() -> anyhow::Result<bool> {
    let installed = Command::new(cargo())
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cargo does not start")?;
    if !installed.success() {
        bail!("cargo-deny is missing; install it with: cargo install cargo-deny --locked");
    }
    let status = Command::new(cargo())
        .args([
            "deny",
            "--offline",
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ])
        .status()
        .context("cargo deny does not start")?;
    Ok(status.success())
}
