//! The package `tests`: its program runs the stories and the benchmarks against the binaries that are built here.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

/// A story that could not run says so with this exit code.
pub(crate) const SKIPPED: i32 = 77;

/// Where everything is built for; see `.cargo/config.toml`.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The programs that ship.
pub(crate) const SHIPPED: [&str; 2] = ["gantry", "gantry-agent"];

/// The benchmark of many clusters, and what it runs instead of the programs that ship.
const CLUSTERS: &str = "clusters";
const CLUSTERS_SIM: &str = "clusters-sim";

/// One story as `--list --json` tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Story {
    pub(crate) name: String,
    pub(crate) tier: String,
}

/// Runs stories with these variables set; true when all passed.
pub(crate) fn story(arguments: &[String], environment: Option<(&str, PathBuf)>) -> anyhow::Result<bool> {
    hand_over("story", arguments, "debug", environment)
}

/// Runs benchmarks; they measure release builds.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<bool> {
    hand_over("bench", arguments, "release", None)
}

/// The stories there are.
pub(crate) fn stories() -> anyhow::Result<Vec<Story>> {
    let output = tests()?.args(["story", "--list", "--json"]).output()?;
    if !output.status.success() {
        bail!(
            "list of stories: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

/// The program of the package `tests`, built, with the places of the shipped programs in its environment.
pub(crate) fn tests() -> anyhow::Result<Command> {
    build(&["--bin", "tests"], &[])?;
    let mut command = Command::new(program("debug", "tests")?);
    command.env("GANTRY_PROGRAM", program("debug", "gantry")?);
    command.env("GANTRY_AGENT_PROGRAM", program("debug", "gantry-agent")?);
    Ok(command)
}

/// Builds the programs that ship.
pub(crate) fn build_shipped(profile: &str) -> anyhow::Result<()> {
    let mut arguments = Vec::new();
    for program in SHIPPED {
        arguments.extend(["--bin", program]);
    }
    if profile == "release" {
        arguments.push("--release");
    }
    build(&arguments, &[])
}

/// Where a program lies after its build.
pub(crate) fn program(profile: &str, name: &str) -> anyhow::Result<PathBuf> {
    Ok(Workspace::load()?.target.join(TARGET).join(profile).join(name))
}

fn hand_over(
    verb: &str,
    arguments: &[String],
    profile: &str,
    environment: Option<(&str, PathBuf)>,
) -> anyhow::Result<bool> {
    let only_list = arguments
        .iter()
        .any(|argument| argument == "--list" || argument == "--help");
    let names = names(arguments);
    let clusters = verb == "bench" && names.contains(&CLUSTERS);
    if !only_list && (names.len() > 1 || !clusters) {
        build_shipped(profile)?;
    }
    let mut command = tests()?;
    if clusters && !only_list {
        build(&["--release", "--bin", CLUSTERS_SIM], &[])?;
        command.env("GANTRY_CLUSTERS_SIM", program(profile, CLUSTERS_SIM)?);
    }
    if profile == "release" {
        command.env("GANTRY_PROGRAM", program(profile, "gantry")?);
        command.env("GANTRY_AGENT_PROGRAM", program(profile, "gantry-agent")?);
    }
    let status = command.arg(verb).args(arguments).envs(environment).status()?;
    Ok(status.success())
}

/// The stories or benchmarks that are named.
pub(crate) fn names(arguments: &[String]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "--count" | "--seed" => drop(arguments.next()),
            flag if flag.starts_with('-') => {}
            name => names.push(name),
        }
    }
    names
}

/// Of the whole workspace, because cargo resolves features for what is selected: tests and programs then share every
/// library. With `--package` most of them would be compiled a second time.
pub(crate) fn build(arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<()> {
    let status = Command::new(cargo())
        .args(["build", "--workspace"])
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("cargo build {}: {status}", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_options_are_no_names() {
        let arguments = ["--json", "clusters", "--count", "10", "dhcp", "--seed=1"].map(str::to_owned);
        assert_eq!(names(&arguments), ["clusters", "dhcp"]);
    }
}
