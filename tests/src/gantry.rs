//! The command line under test, as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::ensure;

use crate::kubectl::finished;
use crate::server::program;

/// `gantry` with a kubeconfig and a working directory.
#[derive(Debug, Clone)]
pub(crate) struct Gantry {
    kubeconfig: PathBuf,
    folder: PathBuf,
}

impl Gantry {
    /// For this appliance, in this folder.
    pub(crate) fn new(kubeconfig: &Path, folder: &Path) -> Gantry {
        Gantry {
            kubeconfig: kubeconfig.to_owned(),
            folder: folder.to_owned(),
        }
    }

    /// Runs a command and gives what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        finished("gantry", arguments, &self.output(arguments)?)
    }

    /// Runs a command that has to fail with this exit code; gives what it complained of.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> anyhow::Result<String> {
        let output = self.output(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        println!("{complaint}");
        ensure!(
            output.status.code() == Some(code),
            "gantry {} ended with {}, not with {code}: {complaint}",
            arguments.join(" "),
            output.status
        );
        Ok(complaint)
    }

    fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        println!("$ gantry {}", arguments.join(" "));
        let mut command = Command::new(program()?);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("GANTRY_KUBECONFIG", &self.kubeconfig);
        Ok(command.output()?)
    }
}
