//! `gantry serve`: settings from flags, environment and file, then the appliance until it is asked to end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use appliance::{DEFAULT_FILE, Given, KEYS, Settings, flag, start_logs, variable};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};
use image_builder::{BootFiles, default_cache_dir};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Outcome};
use crate::{output, parts, service_manager};

/// Folder in the data directory for parts that come from the cache of the user.
const OWN_PARTS: &str = "parts";

/// Flags of `gantry serve`: one for each key of the settings, made from their table.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServeArgs {
    config: Option<PathBuf>,
    given: BTreeMap<&'static str, Given>,
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("GANTRY_CONFIG")
            .help(format!(
                "Configuration file; default: {DEFAULT_FILE} when it exists"
            ));
        let keys = KEYS.iter().map(|key| {
            let help = if key.default.is_empty() {
                key.about.to_owned()
            } else {
                format!("{} [default: {}]", key.about, key.default)
            };
            Arg::new(key.name)
                .long(flag(key.name))
                .value_name(key.value)
                .env(variable(key.name))
                .help(help)
        });
        command.arg(config).args(keys)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = ServeArgs::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.config = matches.get_one::<String>("config").map(PathBuf::from);
        for key in KEYS {
            let Some(value) = matches.get_one::<String>(key.name) else {
                continue;
            };
            let place = match matches.value_source(key.name) {
                Some(ValueSource::EnvVariable) => format!("variable {}", variable(key.name)),
                _ => format!("flag --{}", flag(key.name)),
            };
            self.given.insert(
                key.name,
                Given {
                    value: value.clone(),
                    place,
                },
            );
        }
        Ok(())
    }
}

/// The settings from this configuration file, else the one in its usual place, and from what is given beside it.
pub(crate) fn settings(config: Option<&Path>, given: &BTreeMap<&'static str, Given>) -> Outcome<Settings> {
    let default = Path::new(DEFAULT_FILE);
    let file = config.or(default.exists().then_some(default));
    Settings::load(file, given).map_err(|fault| Failure::BadInput(fault.to_string()))
}

pub(crate) async fn run(args: ServeArgs) -> Outcome {
    let mut settings = settings(args.config.as_deref(), &args.given)?;
    start_logs(&settings)?;
    if settings.parts.is_none() {
        settings.parts = own_parts(&settings.data).await?;
    }
    let cancel = CancellationToken::new();
    let mut end = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = cancel.clone();
    let waiting = tokio::spawn(async move {
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end");
        service_manager::stopping();
        asked.cancel();
    });
    let planned = parts::planned_releases()?;
    let result = appliance::run(settings, planned, cancel, |listeners| {
        for listener in listeners {
            output::line(format!("{:24} {}", listener.what, listener.place));
        }
        output::line("gantry is ready");
        service_manager::ready();
    })
    .await;
    waiting.abort();
    Ok(result?)
}

/// The folder that the appliance takes its parts from.
pub(crate) fn parts_folder(settings: &Settings) -> Outcome<PathBuf> {
    match &settings.parts {
        Some(folder) => Ok(folder.clone()),
        None => {
            let folder = settings.data.join(OWN_PARTS);
            make_private(&settings.data)?;
            Ok(folder)
        }
    }
}

/// Parts from the cache of the user who starts the server, else those that were imported; without any there are none, and the
/// API works.
async fn own_parts(data: &Path) -> Outcome<Option<PathBuf>> {
    let folder = data.join(OWN_PARTS);
    let made = folder.clone();
    let exported = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let agent = parts::Agent::find(None)?;
        make_private(&made)?;
        let cache = default_cache_dir();
        match BootFiles::in_cache(&cache)? {
            Some(_) => parts::export(&cache, &agent, &made).map(drop),
            None => parts::complete(&made, &agent),
        }
    });
    match exported.await? {
        Ok(()) => Ok(Some(folder)),
        Err(error) => {
            output::note(format!(
                "no installer and node images: {error:#}; machines cannot be booted"
            ));
            Ok(None)
        }
    }
}

/// Makes a folder and those above it for this user alone: the data directory holds keys soon.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Cli;

    #[test]
    fn every_key_is_a_flag_and_a_variable() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        for key in appliance::KEYS {
            let arg = serve
                .get_arguments()
                .find(|arg| arg.get_id() == key.name)
                .unwrap();
            assert_eq!(arg.get_long(), Some(appliance::flag(key.name).as_str()));
            assert_eq!(
                arg.get_env().unwrap().to_str(),
                Some(appliance::variable(key.name).as_str())
            );
        }
    }

    #[test]
    fn the_data_directory_is_private_before_anything_is_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("lib/gantry");
        super::make_private(&data.join(super::OWN_PARTS)).unwrap();
        let mode = std::fs::metadata(&data).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
