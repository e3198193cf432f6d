//! `cargo xtask ci`: everything that must pass, stage by stage, each within its budget.
//!
//! The gate is on CPU time, which a busy machine changes least; wall time only warns. Stages that fail do not
//! stop the others, so that one run tells all; stories run last, with the machine to themselves.

mod budget;
mod stage;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use budget::{Budget, Verdict};
use stage::{Outcome, Stage};

use crate::workspace::{Workspace, cargo};
use crate::{check, elf, peers, programs, release};

/// How CI runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only fmt, check, clippy and tests.
    #[arg(long)]
    quick: bool,
    /// One JSON object a stage instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs CI; true when every stage passed within its budget.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let budget = Budget::read(&workspace.root.join("crates/xtask/ci-budget.toml"))?;
    let mut outcomes = Vec::new();
    for stage in stages(options.quick) {
        eprintln!("==> {}", stage.name);
        let outcome = stage.run();
        eprintln!("<== {}", outcome.line(budget.minutes(&outcome.name)));
        outcomes.push(outcome);
    }
    if !options.quick {
        outcomes.extend(stories(&budget)?);
    }
    report(options, &budget, &outcomes)
}

fn stages(quick: bool) -> Vec<Stage> {
    let mut stages = vec![
        Stage::new("fmt", || cargo_runs(&["fmt", "--all", "--check"], None)),
        Stage::new("check", || {
            if check::run()? {
                Ok(())
            } else {
                bail!("see the findings above")
            }
        }),
        Stage::new("clippy", || {
            cargo_runs(
                &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
                None,
            )
        }),
    ];
    if !quick {
        let strict = Some(("RUSTDOCFLAGS", "-D warnings"));
        stages.push(Stage::new("doc", move || {
            cargo_runs(&["doc", "--workspace", "--no-deps"], strict)
        }));
    }
    // Not those of documentation, of which there are none: `cargo xtask check` sees to that.
    let tests = ["test", "--workspace", "--lib", "--bins", "--tests"];
    stages.push(Stage::new("test", move || cargo_runs(&tests, None)));
    if !quick {
        stages.push(Stage::new("static", static_builds));
        stages.push(Stage::new("images", images));
        stages.push(Stage::new("peers", peers::build));
        // The image recipes and the stage before build the programs that these tests run; without them they fail.
        let real_peers = [
            "test",
            "--workspace",
            "--test",
            "api",
            "--test",
            "etcd",
            "--test",
            "day_two",
            "--test",
            "machine_settings",
            "--test",
            "clusters",
            "--test",
            "texts",
            "--test",
            "bootstrap_script",
            "--test",
            "copies",
            "--test",
            "drills",
            "--test",
            "charts",
            "--",
            "--ignored",
            "answers_are_those_of_kubernetes",
            "real_",
        ];
        stages.push(Stage::new("real-peers", move || cargo_runs(&real_peers, None)));
    }
    stages
}

fn stories(budget: &Budget) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for story in programs::stories()? {
        if story.tier != "ci" {
            continue;
        }
        let name = format!("story-{}", story.name);
        eprintln!("==> {name}");
        let stage = Stage::new(&name, move || run_story(&story.name));
        let outcome = stage.run();
        eprintln!("<== {}", outcome.line(budget.minutes(&name)));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn run_story(name: &str) -> anyhow::Result<()> {
    let status = programs::tests()?
        .args(["story", name])
        .envs(release::for_stories(&[name])?)
        .status()
        .context("stories do not start")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(programs::SKIPPED) => bail!("skipped; CI needs it to run: see above what it lacks"),
        _ => bail!("story {name} failed: {status}"),
    }
}

/// What stories boot; kept by recipe, so a second run takes seconds.
fn images() -> anyhow::Result<()> {
    let status = Command::new(programs::program("debug", "gantry")?)
        .args(["image", "build"])
        .status()?;
    if !status.success() {
        bail!("gantry image build: {status}");
    }
    Ok(())
}

fn static_builds() -> anyhow::Result<()> {
    programs::build_shipped("debug")?;
    for name in programs::SHIPPED {
        let path = programs::program("debug", name)?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        if let Some(needs) = elf::dynamic_need(&bytes)? {
            bail!("{} is not static: it has {needs}", path.display());
        }
        eprintln!("    {name}: static, {:.1} MB", bytes.len() as f64 / 1e6);
    }
    Ok(())
}

fn cargo_runs(arguments: &[&str], environment: Option<(&str, &str)>) -> anyhow::Result<()> {
    let mut command = Command::new(cargo());
    command.args(arguments);
    if let Some((key, value)) = environment {
        command.env(key, value);
    }
    let status = command.status().context("cargo does not start")?;
    if !status.success() {
        bail!("cargo {}: {status}", arguments.join(" "));
    }
    Ok(())
}

fn report(options: &Options, budget: &Budget, outcomes: &[Outcome]) -> anyhow::Result<bool> {
    let mut faults: Vec<String> = Vec::new();
    for outcome in outcomes {
        let minutes = budget.minutes(&outcome.name);
        if options.json {
            println!("{}", outcome.json(minutes)?);
        } else {
            println!("{}", outcome.line(minutes));
        }
        faults.extend(
            outcome
                .error
                .as_ref()
                .map(|error| format!("{}: {error}", outcome.name)),
        );
        match budget.judge(&outcome.name, outcome.cpu) {
            Verdict::Within => {}
            Verdict::Warning(text) => eprintln!("warning: {text}"),
            Verdict::Fault(text) => faults.push(text),
        }
    }
    let wall: Duration = outcomes.iter().map(|outcome| outcome.wall).sum();
    if !options.quick {
        faults.extend(budget.lines_without(outcomes.iter().map(|outcome| outcome.name.as_str())));
        if wall > budget.total() {
            eprintln!(
                "warning: {} of wall time, the whole budget is {}",
                stage::clock(wall),
                stage::clock(budget.total())
            );
        }
    }
    for fault in &faults {
        eprintln!("FAILED {fault}");
    }
    eprintln!(
        "ci: {} stages, {}, {} faults",
        outcomes.len(),
        stage::clock(wall),
        faults.len()
    );
    Ok(faults.is_empty())
}
