//! Drivers that the command line starts by itself, for as long as a verb runs.

use std::path::{Path, PathBuf};

use clap::Args;
use driver::launch::{Limits, UserIds};
use driver::supervisor::{DriverConfiguration, Launcher, SupervisorSettings};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::failure::{Failure, Outcome};

/// Which driver, and how it is started.
#[derive(Debug, Args)]
pub(crate) struct DriverArgs {
    /// The driver's program, gantry-driver-NAME.
    program: PathBuf,
    /// Name that the driver calls itself by; default: what follows gantry-driver- in its program.
    #[arg(long)]
    name: Option<String>,
    /// Argument for the program; may be repeated.
    #[arg(long = "arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// Variable for the program; may be repeated. It gets no other.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,
    /// File or directory that the program may read besides those of the system; may be repeated.
    #[arg(long = "read", value_name = "PATH")]
    readable: Vec<PathBuf>,
    /// User and group to run it as; needs root.
    #[arg(long, value_name = "UID:GID", value_parser = user)]
    user: Option<UserIds>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no =")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn user(text: &str) -> Result<UserIds, String> {
    let (uid, gid) = text.split_once(':').ok_or("it has no :")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Ok(UserIds {
        uid: number(uid)?,
        gid: number(gid)?,
    })
}

impl DriverArgs {
    pub(super) fn configuration(&self) -> Outcome<DriverConfiguration> {
        let program = std::path::absolute(&self.program)?;
        let file = program.file_stem().unwrap_or_default().to_string_lossy();
        let by_file = file.strip_prefix("gantry-driver-").map(ToOwned::to_owned);
        let name = self.name.clone().or(by_file).ok_or_else(|| {
            Failure::BadInput(format!(
                "{}: a driver's program is named gantry-driver-NAME; say --name for another one",
                program.display()
            ))
        })?;
        Ok(DriverConfiguration {
            name,
            sha256: None,
            arguments: self.arguments.clone(),
            environment: self.environment.clone(),
            user: self.user,
            limits: Limits::default(),
            readable: self.readable.clone(),
            program,
        })
    }
}

/// Settings for as long as the directory lives.
pub(super) fn settings() -> Outcome<(SupervisorSettings, TempDir)> {
    let directory = tempfile::Builder::new().prefix("gantry-driver-").tempdir()?;
    // A driver with a user of its own has to get to the directory that it is given in there.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(directory.path(), mode)?;
    let launcher = Launcher {
        program: std::env::current_exe()?,
        arguments: vec![driver::launch::ARGUMENT.to_owned()],
    };
    Ok((
        SupervisorSettings::new(launcher, directory.path().to_owned()),
        directory,
    ))
}

/// A file in YAML or JSON.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Outcome<T> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| bad(&error))?;
    serde_saphyr::from_str(&text).map_err(|error| bad(&error))
}

/// Secrets whose value is `env:NAME` come from the environment, so that files hold none.
pub(super) fn resolve(secrets: &mut std::collections::BTreeMap<String, String>) -> Outcome {
    for (name, value) in secrets.iter_mut() {
        if let Some(variable) = value.strip_prefix("env:") {
            *value = std::env::var(variable).map_err(|_| {
                Failure::BadInput(format!("secret {name}: the variable {variable} is not set"))
            })?;
        }
    }
    Ok(())
}
