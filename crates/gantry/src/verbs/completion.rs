//! `gantry completion SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// Which shell.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gantry", &mut script);
    output::text(&String::from_utf8_lossy(&script));
}
