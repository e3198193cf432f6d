//! Stories and benchmarks: programs that use Gantry as its users do, from outside.
//!
//! Owns the registry of both ([`stories`], [`benches`]) with what each needs and how long it takes. Refuses to look
//! into the appliance: a story sees what a user sees.
//!
//! Exit codes: 0 passed, 1 failed, 77 skipped because something is missing; CI counts a skipped story as failed. A
//! benchmark that a signal ends exits with 128 and the signal's number.

#![allow(clippy::print_stdout, reason = "a command-line program for people")]

mod agent_endpoint;
mod benches;
mod cluster_client;
mod command;
mod disk_files;
mod end;
mod etcd_data;
mod first_boot;
mod gantry;
mod kubectl;
mod living_cluster;
mod namespace;
mod new_cluster;
mod node_disk;
mod objects;
mod outside_writer;
mod rack;
mod said;
mod server;
mod site_name;
mod small_image;
mod stories;
mod trace;
mod waiting;

use std::process::ExitCode;

use crate::end::End;
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use waiting::AskedToEnd;

/// How a story ends that cannot run here.
const SKIPPED: u8 = 77;

#[derive(Debug, Parser)]
#[command(name = "tests", about = "Stories and benchmarks of Gantry")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run stories.
    Story(Chosen),
    /// Run benchmarks.
    Bench(Chosen),
}

#[derive(Debug, Args)]
struct Chosen {
    /// Which.
    names: Vec<String>,
    /// Only list them.
    #[arg(long)]
    list: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// What names, addresses and passwords come from, where a story draws them.
    #[arg(long)]
    seed: Option<String>,
    /// For stories on a rack of their own shape: its BMCs speak IPMI and no Redfish.
    #[arg(long)]
    ipmi_only: bool,
    /// How many, where a benchmark has a number of its own: clusters.
    #[arg(long)]
    count: Option<usize>,
}

fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match Cli::parse().command {
        Command::Story(chosen) => run_stories(&runtime, &chosen),
        Command::Bench(chosen) => {
            match runtime.block_on(benches::run(
                &chosen.names,
                chosen.list,
                chosen.json,
                chosen.count,
            )) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    let code = failed(&error);
                    if let Some(AskedToEnd(signal)) = error.downcast_ref() {
                        // Without waiting for threads that measure.
                        std::process::exit(128 + *signal as i32);
                    }
                    code
                }
            }
        }
    }
}

fn run_stories(runtime: &tokio::runtime::Runtime, chosen: &Chosen) -> ExitCode {
    if chosen.list || chosen.names.is_empty() {
        for story in stories::ALL {
            if chosen.json {
                let line = json!({"name": story.name, "tier": story.tier, "needs": story.needs, "minutes": story.minutes});
                println!("{line}");
            } else {
                println!(
                    "{:16} {:5} ~{:>2} min  {}",
                    story.name, story.tier, story.minutes, story.about
                );
                println!("{:33}needs {}", "", story.needs);
            }
        }
        return ExitCode::SUCCESS;
    }
    let mut skipped = false;
    for name in &chosen.names {
        let Some(story) = stories::ALL.iter().find(|story| story.name == name) else {
            eprintln!("error: there is no story {name:?}; --list names them");
            return ExitCode::from(2);
        };
        if chosen.ipmi_only && !story.needs.contains("QEMU") {
            eprintln!("error: story {name:?} has no rack whose BMCs --ipmi-only could change");
            return ExitCode::from(2);
        }
        let options = stories::Options {
            seed: chosen.seed.clone(),
            ipmi_only: chosen.ipmi_only,
        };
        match runtime.block_on((story.run)(options)) {
            Ok(End::Passed) => println!("story {name}: passed"),
            Ok(End::Skipped(reason)) => {
                println!("story {name}: SKIPPED: {reason}");
                skipped = true;
            }
            Err(error) => {
                eprintln!("story {name}: FAILED");
                return failed(&error);
            }
        }
    }
    if skipped {
        ExitCode::from(SKIPPED)
    } else {
        ExitCode::SUCCESS
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
