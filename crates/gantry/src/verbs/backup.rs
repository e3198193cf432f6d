//! `gantry backup appliance` and `gantry restore appliance`: on the machine of the appliance, with its files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use appliance::backup::{self, From};
use appliance::{Given, Settings};
use clap::Args;
use jiff::Timestamp;

use super::serve;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::time::ago;

#[derive(Debug, Args)]
#[command(
    after_help = "Run it on the appliance's machine, as the user that `gantry serve` runs as; the appliance may go on meanwhile.\n\
                  Nothing in a backup can be read without the site's keys. Keep those apart from the backups, like any private \
                  key:\nwho has both has every secret of the site.\n\nExamples:\n  gantry backup appliance --to /mnt/backup/\n  \
                  gantry backup appliance --to /mnt/backup/ --keys-to /media/safe/gantry-keys.tar"
)]
pub(crate) struct BackupArgs {
    /// File to make, or folder for a file named after site and time.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// File to make for the site's keys. They change only when the site is set up anew.
    #[arg(long, value_name = "FILE")]
    keys_to: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The appliance must not run meanwhile. After it, no server is powered or installed because of what was true \
                  when the backup was made:\nuntil its BMC says that a machine is off, or `gantry verify server` says that the \
                  records are right, it is left alone.\nPlans of clusters that have changed since need an approval.\n\n\
                  Examples:\n  gantry restore appliance --from /mnt/backup/gantry-site-20260101T000000Z.tar\n  gantry restore \
                  appliance --from backup.tar --keys /media/safe/gantry-keys.tar"
)]
pub(crate) struct RestoreArgs {
    /// File that `gantry backup appliance` made.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// File that its --keys-to made, where the key directory does not have the keys.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Move the data that are there into a folder beside them.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    place: Place,
}

/// Where the appliance has its files.
#[derive(Debug, Args)]
struct Place {
    /// Configuration file of the appliance; default: as `gantry serve`.
    #[arg(long, value_name = "FILE", env = "GANTRY_CONFIG")]
    config: Option<PathBuf>,
    /// Its data directory, where the configuration file does not name it.
    #[arg(long, value_name = "DIR", env = "GANTRY_DATA")]
    data: Option<String>,
    /// Its key directory, where the configuration file does not name it.
    #[arg(long, value_name = "DIR", env = "GANTRY_KEY_DIR")]
    key_dir: Option<String>,
}

impl Place {
    fn settings(&self) -> Outcome<Settings> {
        let of = |name, flag: &str, value: &Option<String>| {
            let place = format!("flag --{flag}");
            value.clone().map(|value| (name, Given { value, place }))
        };
        let given: BTreeMap<_, _> = [
            of("data", "data", &self.data),
            of("keyDir", "key-dir", &self.key_dir),
        ]
        .into_iter()
        .flatten()
        .collect();
        serve::settings(self.config.as_deref(), &given)
    }
}

/// Makes a backup.
pub(crate) async fn make(args: &BackupArgs) -> Outcome {
    let settings = args.place.settings()?;
    let made = backup::backup(&settings, &args.to, args.keys_to.as_deref()).await?;
    output::line(format!(
        "{}: backup of site {}, {} bytes",
        made.path.display(),
        made.manifest.site,
        made.manifest.size()
    ));
    match &args.keys_to {
        Some(keys) => output::line(format!("{}: its keys; keep them apart from it", keys.display())),
        None => output::note(format!(
            "its keys are in {} alone; without them the backup is of no use: --keys-to FILE makes a copy to keep apart",
            settings.key_dir.display()
        )),
    }
    Ok(())
}

/// Goes back to a backup.
pub(crate) async fn restore(args: &RestoreArgs) -> Outcome {
    let settings = args.place.settings()?;
    let from = From {
        backup: args.from.clone(),
        keys: args.keys.clone(),
        replace: args.replace,
    };
    if !from.backup.is_file() {
        let text = format!("--from: there is no file {}", from.backup.display());
        return Err(Failure::BadInput(text));
    }
    let restored = backup::restore(&settings, &from).await?;
    let manifest = &restored.manifest;
    output::line(format!(
        "restored site {} from a backup of {:.0}, {} ago, made by Gantry {}",
        manifest.site,
        manifest.made_at,
        ago(manifest.made_at, Timestamp::now()),
        manifest.gantry
    ));
    if let Some(replaced) = &restored.replaced {
        output::line(format!("the data that were there are in {}", replaced.display()));
    }
    let marked = &restored.marked;
    output::line(format!(
        "{} servers are left alone until their BMC says that they are off, or you say that the records are right: gantry \
         verify server NAME",
        marked.servers.len()
    ));
    for (what, names) in [
        (
            "ended, because it may have come to its end since: the attempt on",
            &marked.attempts,
        ),
        (
            "removed, because it may have been carried out since:",
            &marked.jobs,
        ),
    ] {
        for name in names {
            output::line(format!("  {what} {name}"));
        }
    }
    output::line("start the appliance again; then: gantry get servers");
    Ok(())
}
