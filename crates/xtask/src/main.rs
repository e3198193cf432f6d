//! `cargo xtask`: what keeps the workspace in order.
//!
//! Owns the rules that no compiler checks (`check`), the one CI run that people and machines use (`ci`), what may be depended on (`deny`), and the
//! way to stories and benchmarks, which live in the package `tests`, and what is released (`release`). Refuses to change files of
//! the tree.

#![allow(clippy::print_stdout, reason = "a command-line program for people")]

mod check;
mod ci;
mod deny;
mod elf;
mod peers;
mod programs;
mod release;
mod workspace;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Checks, CI, stories and benchmarks of Gantry",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check layers, features, purity, sizes, names and descriptions.
    Check,
    /// Everything that must pass: fmt, clippy, doc, tests, check, static builds, stories.
    Ci(ci::Options),
    /// Licences, bans and sources of all dependencies, by cargo-deny; by hand, when dependencies change.
    Deny,
    /// Build the programs that tests named `real_` run against beside those of the image recipes.
    Peers,
    /// Make what people download: tarball, Debian package, container image, bill of materials, checksums, and the bundle of parts.
    Release(release::Options),
    /// Run end-to-end stories by name, or list them with what they need and how long they take.
    Story(Passed),
    /// Run benchmarks by name, or list them.
    Bench(Passed),
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
struct Passed {
    /// Handed on to the program of the package `tests`; `--list` names what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<bool> {
    match cli.command {
        Command::Check => check::run(),
        Command::Ci(options) => ci::run(&options),
        Command::Deny => deny::run(),
        Command::Peers => peers::build().map(|()| true),
        Command::Release(options) => release::make(&options).map(|()| true),
        Command::Story(passed) => {
            let package = release::for_stories(&programs::names(&passed.arguments))?;
            programs::story(&passed.arguments, package)
        }
        Command::Bench(passed) => programs::bench(&passed.arguments),
    }
}
