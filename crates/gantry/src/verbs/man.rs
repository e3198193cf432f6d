//! `gantry man DIR`: the man pages, for those who make packages.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder; made when absent.
    folder: PathBuf,
}

/// Writes a page for the program and one for each verb.
pub(crate) fn run(args: &ManArgs, command: Command) -> Outcome {
    std::fs::create_dir_all(&args.folder)?;
    clap_mangen::generate_to(command, &args.folder)?;
    Ok(())
}
