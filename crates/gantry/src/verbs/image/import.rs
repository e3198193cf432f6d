//! `gantry image import`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{Failure, Outcome};
use crate::verbs::serve;
use crate::{output, parts};

/// The key of who made this program, where it has one inside.
const BUILT_IN_KEY: Option<&str> = option_env!("GANTRY_RELEASE_KEY");

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Folder or URL of the bundle: what has `index.json` in it.
    source: String,
    /// Only what is for this minor version of Kubernetes, such as 1.35; may be repeated. Default: everything.
    #[arg(long = "kubernetes", value_name = "VERSION")]
    kubernetes: Vec<String>,
    /// The parts folder to fill; default: that of the appliance with the configuration in its usual place.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Configuration file of the appliance, for the default of --into.
    #[arg(long, value_name = "FILE", env = "GANTRY_CONFIG")]
    config: Option<PathBuf>,
    /// File with the public key (of minisign) of who must have signed the bundle; default: the one inside this program.
    #[arg(
        long,
        value_name = "FILE",
        env = "GANTRY_PARTS_KEY",
        conflicts_with = "unsigned"
    )]
    key: Option<PathBuf>,
    /// Import it although nobody signed it: anybody between its source and here can have changed it.
    #[arg(long)]
    unsigned: bool,
}

pub(crate) async fn run(args: ImportArgs) -> Outcome {
    let into = match args.into {
        Some(folder) => std::path::absolute(folder)?,
        None => serve::parts_folder(&serve::settings(args.config.as_deref(), &BTreeMap::new())?)?,
    };
    let trust = match (args.unsigned, args.key, BUILT_IN_KEY) {
        (true, ..) => parts::Trust::Nobody,
        (_, Some(file), _) => parts::Trust::File(file),
        (_, None, Some(text)) => parts::Trust::Text(text),
        (_, None, None) => {
            return Err(Failure::BadInput(
                "this program has no key inside that the bundle could be checked with: name its maker's with --key FILE, or \
                 trust it without one with --unsigned"
                    .to_owned(),
            ));
        }
    };
    let wanted = parts::Wanted {
        source: args.source,
        into: into.clone(),
        trust,
        kubernetes: args.kubernetes,
    };
    let bar = output::interactive().then(bar);
    let shown = bar.clone();
    let mut last = String::new();
    let mut progress = move |path: &str, got: u64, size: u64| {
        if let Some(bar) = &shown {
            bar.set_length(size);
            bar.set_position(got);
            bar.set_message(path.to_owned());
        } else if last != path {
            output::note(format!("{path}: {:.1} MB", size as f64 / 1e6));
            path.clone_into(&mut last);
        }
    };
    let result = tokio::select! {
        result = parts::import(wanted, &mut progress) => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted(
            "stopped; the same command goes on where it was".to_owned(),
        )),
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let imported = result?;
    for path in &imported.new {
        output::line(format!("{path}: imported"));
    }
    output::line(format!(
        "{}: {} files imported, {} were there; made by Gantry {}, index {}",
        into.display(),
        imported.new.len(),
        imported.kept,
        imported.gantry,
        imported.index
    ));
    if !imported.new.is_empty() {
        output::note("an appliance that runs offers them after its next start");
    }
    Ok(())
}

fn bar() -> ProgressBar {
    let template = "{bar:30} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12} {msg}";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
