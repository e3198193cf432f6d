//! `gantry completion SHELL`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// Which shell.
    shell: Shell,
}

/// Prints the script for a command line.
pub(crate) fn run(args: &CompletionArgs, command: &mut Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "gantry", &mut script);
    output::text(&String::from_utf8_lossy(&script));
}
