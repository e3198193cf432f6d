//! `gantry image build|list|export|import`.

mod import;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Subcommand};
use image_builder::{BuildOptions, Event, Part, ReleaseRecipe, default_cache_dir};
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{Failure, Outcome};
use crate::{output, parts};

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Build parts that are not in the cache; no names means all.
    Build(BuildArgs),
    /// List the parts and which are in the cache.
    List(ListArgs),
    /// Put kernel, installer, iPXE, kubectl, etcd, and the node images and releases that are built into a folder for `gantry serve
    /// --parts`, or to be imported elsewhere.
    Export(ExportArgs),
    /// Fetch what a release has beside the program: from a folder, or from a web server below a URL. Goes on where it was interrupted.
    #[command(visible_alias = "pull")]
    Import(import::ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Parts; see `gantry image list`.
    names: Vec<String>,
    #[command(flatten)]
    release: ReleaseArgs,
    /// Build the named parts again although they are in the cache.
    #[arg(long)]
    force: bool,
    /// Debian archive or a mirror of it.
    #[arg(long, value_name = "URL", env = "GANTRY_DEBIAN_MIRROR")]
    debian_mirror: Option<String>,
    /// Install missing Debian packages first (needs root).
    #[arg(long)]
    install_needs: bool,
}

/// Which release.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Minor version of Kubernetes; the newest by default.
    #[arg(long = "kubernetes", value_name = "VERSION", default_value = ReleaseRecipe::NEWEST.minor)]
    kubernetes: String,
}

impl ReleaseArgs {
    fn recipe(&self) -> Outcome<ReleaseRecipe> {
        ReleaseRecipe::named(&self.kubernetes).map_err(|error| Failure::BadInput(error.to_string()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    release: ReleaseArgs,
    /// `json` for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The folder; made when absent.
    folder: PathBuf,
    /// The agent's program; default: gantry-agent beside this program, else the one inside.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

pub(crate) async fn run(command: ImageCommand) -> Outcome {
    match command {
        ImageCommand::Build(args) => build(args).await,
        ImageCommand::List(args) => list(&args),
        ImageCommand::Import(args) => import::run(args).await,
        ImageCommand::Export(args) => {
            let exported = tokio::task::spawn_blocking(move || {
                let agent = parts::Agent::find(args.agent.as_deref())?;
                std::fs::create_dir_all(&args.folder)?;
                let folder = args.folder.canonicalize()?;
                parts::export(&default_cache_dir(), &agent, &folder)
            });
            let images = exported.await??.node_images;
            // Ready to be an osImageURL.
            for image in &images {
                output::line(format!("file://{}", image.display()));
            }
            if images.is_empty() {
                output::note("no node image yet; build it with: gantry image build");
            }
            Ok(())
        }
    }
}

async fn build(args: BuildArgs) -> Outcome {
    if args.install_needs {
        let parts = args
            .names
            .iter()
            .map(|name| Part::named(name))
            .collect::<Result<Vec<_>, _>>()?;
        let parts = if parts.is_empty() {
            Part::ALL.to_vec()
        } else {
            parts
        };
        image_builder::ensure_host_packages(&parts, &mut |line| output::note(line))?;
    }
    let cancel = Arc::new(AtomicBool::new(false));
    let mut options = BuildOptions {
        release: args.release.recipe()?,
        force: args.force,
        cancel: cancel.clone(),
        ..BuildOptions::default()
    };
    if let Some(mirror) = args.debian_mirror {
        options.debian_mirror = mirror;
    }
    let bar = output::interactive().then(bar);
    let shown = bar.clone();
    options.progress = Arc::new(move |event| show(shown.as_ref(), event));
    let names = args.names;
    let work = tokio::task::spawn_blocking(move || image_builder::build(&names, &options));
    tokio::pin!(work);
    let built = tokio::select! {
        built = &mut work => built?,
        _ = tokio::signal::ctrl_c() => {
            cancel.store(true, Ordering::SeqCst);
            let _ = work.await;
            return Err(Failure::Interrupted("stopped; parts that were finished stay in the cache".to_owned()));
        }
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    for part in built? {
        let how = if part.cached { "cached" } else { "built" };
        output::line(format!(
            "{:12} {how:6} {:>8.1} MB  {}",
            part.name,
            part.size as f64 / 1e6,
            part.path.display()
        ));
    }
    Ok(())
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed:>5} {msg}");
    let bar =
        ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn show(bar: Option<&ProgressBar>, event: Event) {
    let steady = |text: String| match bar {
        Some(bar) => bar.println(text),
        None => output::note(text),
    };
    match event {
        Event::Waiting => steady("another process builds; waiting for it".to_owned()),
        Event::Cached { part } => steady(format!("{part}: in the cache")),
        Event::Started { part, steps } => steady(format!("{part}: {steps} steps")),
        Event::Step {
            part,
            number,
            of,
            name,
        } => match bar {
            Some(bar) => bar.set_message(format!("{part} {number}/{of}: {name}")),
            None => output::note(format!("{part} {number}/{of}: {name}")),
        },
        Event::Percent { part, percent } => {
            if let Some(bar) = bar {
                bar.set_message(format!("{part}: {percent} %"));
            }
        }
        Event::Line { part, text } => {
            if let Some(bar) = bar {
                bar.set_message(format!("{part}: {text}"));
            }
        }
        Event::Finished { part, took } => steady(format!("{part}: built in {} s", took.as_secs())),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let parts = image_builder::list(&default_cache_dir(), args.release.recipe()?)?;
    if args.output.is_some() {
        output::line(serde_json::to_string_pretty(&parts)?);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|part| {
            let size = part.built.as_ref().map_or("-".to_owned(), |built| {
                format!("{:.1} MB", built.size as f64 / 1e6)
            });
            let state = if part.built.is_some() { "built" } else { "missing" };
            vec![part.name.clone(), state.to_owned(), size, part.about.clone()]
        })
        .collect();
    output::text(&output::table(&["PART", "STATE", "SIZE", "ABOUT"], &rows));
    Ok(())
}
