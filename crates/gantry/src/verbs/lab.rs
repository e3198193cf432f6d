//! `gantry lab`: the virtual rack.

mod cluster_yaml;
mod stages;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kube::ResourceExt;
use lab::{Accelerator, DownOptions, Firmware, Progress, RackPlan, RackStatus, UpOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::explain::Evidence;
use crate::failure::Outcome;
use crate::global::Global;
use crate::snapshot::Snapshot;
use crate::{connection, output};

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Start a rack: machines with blank disks, powered off, with virtual BMCs.
    Up(UpArgs),
    /// Show racks and machines.
    Status(StatusArgs),
    /// Show a machine's serial console; Ctrl-] leaves.
    Console(ConsoleArgs),
    /// Run a program in the appliance's namespace.
    Run(RunArgs),
    /// End a rack and remove everything of it.
    Down(DownArgs),
    /// Print what a seed stands for, without starting anything.
    Plan(PlanArgs),
    /// When each machine reached which stage, from power-on to Ready.
    Stages(StagesArgs),
    /// The process behind a detached rack.
    #[command(hide = true)]
    Supervise {
        /// State directory of the rack.
        directory: PathBuf,
    },
}

/// What a rack consists of.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shape {
    /// Names, MACs, addresses and passwords come from it; drawn and printed when absent.
    #[arg(long)]
    seed: Option<String>,
    /// Machines; the first is a control plane, the others are workers.
    #[arg(long, default_value_t = 2)]
    machines: usize,
    /// uefi or bios.
    #[arg(long, default_value = "uefi")]
    firmware: Firmware,
    /// Virtual CPUs of each machine.
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// MiB of memory; the first value is for the first machine, the last for all others.
    #[arg(long, value_delimiter = ',', default_values_t = [3072, 2048])]
    memory: Vec<u32>,
    /// GiB of the disk to install on (sparse).
    #[arg(long, default_value_t = 20)]
    disk: u32,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    shape: Shape,
    /// The BMCs speak IPMI and no Redfish; hardware.csv says so.
    #[arg(long)]
    ipmi_only: bool,
    /// Network before disks on every boot.
    #[arg(long)]
    netboot_first: bool,
    /// The two disks of a machine change places, and so their kernel names, at each power-on after the first.
    #[arg(long)]
    swap_disks: bool,
    /// Each machine has a removable USB disk of 2 GiB.
    #[arg(long)]
    usb_disk: bool,
    /// The target disk of this machine, counted from 0, has sectors that can be neither read nor written.
    #[arg(long, value_name = "MACHINE")]
    bad_disk: Option<usize>,
    /// auto, kvm or tcg.
    #[arg(long, default_value = "auto")]
    accelerator: Accelerator,
    /// Use disks and firmware variables that an earlier rack of this seed left.
    #[arg(long)]
    keep_disks: bool,
    /// Return when the rack is ready and leave it running.
    #[arg(long)]
    detach: bool,
    /// Capture the packets of the boot network, whole or the first BYTES of each.
    #[arg(long, value_name = "BYTES", num_args = 0..=1, require_equals = true, default_missing_value = "65535")]
    capture: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Which rack, by id; the only one when absent.
    rack: Option<String>,
    /// `json` for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConsoleArgs {
    /// The machine.
    name: String,
    /// Which rack, by id; the only one when absent.
    #[arg(long)]
    rack: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Which rack, by id; the only one when absent.
    #[arg(long)]
    rack: Option<String>,
    /// Program and arguments; a shell when absent.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Which rack, by id; the only one when absent.
    rack: Option<String>,
    /// Keep disks and firmware variables for the next rack of this seed.
    #[arg(long)]
    keep_disks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StagesArgs {
    /// Which rack, by id; the only one when absent.
    #[arg(long)]
    rack: Option<String>,
    /// Namespace of the cluster.
    #[arg(short, long, default_value = resources::keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    shape: Shape,
    /// hardware, facts or cluster.
    #[arg(value_parser = ["hardware", "facts", "cluster"], default_value = "facts")]
    what: String,
    /// For `cluster`: image of the nodes.
    #[arg(long, value_name = "URL", default_value = "")]
    os_image_url: String,
    /// For `cluster`: Kubernetes version.
    #[arg(long, value_name = "VERSION", default_value = "1.35")]
    kubernetes_version: String,
}

pub(crate) async fn run(global: &Global, command: LabCommand) -> Outcome {
    match command {
        LabCommand::Up(args) => up(args).await,
        LabCommand::Status(args) => status(&args),
        LabCommand::Console(args) => {
            let shown =
                tokio::task::spawn_blocking(move || lab::console(args.rack.as_deref(), &args.name, None));
            Ok(shown.await??)
        }
        LabCommand::Run(args) => Ok(lab::run_in_appliance(args.rack.as_deref(), &args.command, None)?),
        LabCommand::Down(args) => {
            let options = DownOptions {
                id: args.rack,
                keep_disks: args.keep_disks,
                state_root: None,
            };
            let id = lab::down(&options).await?;
            output::line(format!("rack {id} is gone"));
            Ok(())
        }
        LabCommand::Plan(args) => plan(&args),
        LabCommand::Stages(args) => show_stages(global, &args).await,
        LabCommand::Supervise { directory } => supervise(&directory).await,
    }
}

impl Shape {
    fn options(&self) -> UpOptions {
        UpOptions {
            seed: self.seed.clone(),
            machines: self.machines,
            firmware: self.firmware,
            cpus: self.cpus,
            memory_mib: self.memory.clone(),
            disk_gib: self.disk,
            ..UpOptions::default()
        }
    }
}

async fn up(args: UpArgs) -> Outcome {
    let options = UpOptions {
        netboot_first: args.netboot_first,
        swap_disks: args.swap_disks,
        usb_disk: args.usb_disk,
        bad_disk: args.bad_disk,
        ipmi_only: args.ipmi_only,
        accelerator: args.accelerator,
        keep_disks: args.keep_disks,
        detach: args.detach,
        capture: args.capture,
        ..args.shape.options()
    };
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let waiting = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let mut report = |progress: Progress| match progress {
        Progress::Step(step) => output::note(step),
        Progress::Ready(rack) => {
            output::line(format!(
                "rack {} (seed {}) is ready",
                rack.plan.id, rack.plan.seed
            ));
            output::line(format!("hardware:  {}", rack.paths.hardware_csv().display()));
            output::line(format!("facts:     {}", rack.paths.facts().display()));
            output::line(format!(
                "appliance: gantry lab run --rack {} -- gantry serve ...",
                rack.plan.id
            ));
        }
    };
    let result = lab::up(&options, cancel, &mut report).await;
    waiting.abort();
    let status = result?;
    if options.detach {
        show(&status);
    }
    Ok(())
}

fn status(args: &StatusArgs) -> Outcome {
    if args.rack.is_none() && lab::list(None).is_empty() {
        output::note("no rack; start one with: gantry lab up");
        return Ok(());
    }
    let ids = args.rack.clone().map_or_else(|| lab::list(None), |id| vec![id]);
    let racks = ids
        .iter()
        .map(|id| lab::status(Some(id), None))
        .collect::<Result<Vec<_>, _>>()?;
    if args.output.is_some() {
        output::line(serde_json::to_string_pretty(&json!(racks))?);
    } else {
        racks.iter().for_each(show);
    }
    Ok(())
}

fn show(rack: &RackStatus) {
    let state = if rack.running {
        "running"
    } else {
        "not running; clear it with: gantry lab down"
    };
    output::line(format!(
        "rack {} (seed {}, {}): {state}",
        rack.id, rack.seed, rack.firmware
    ));
    output::line(format!(
        "  appliance's namespace {}, interface {}, tinkerbellIP {}",
        rack.site_namespace, rack.site_interface, rack.site_address
    ));
    let rows: Vec<Vec<String>> = rack
        .machines
        .iter()
        .map(|machine| {
            let power = format!("{:?}", machine.power).to_lowercase();
            vec![
                machine.name.clone(),
                machine.labels.clone(),
                power,
                machine.mac.clone(),
                machine.ip.to_string(),
                machine.bmc_ip.to_string(),
                machine.last_line.chars().take(60).collect(),
            ]
        })
        .collect();
    output::text(&output::table(
        &["MACHINE", "LABELS", "POWER", "MAC", "IP", "BMC", "CONSOLE"],
        &rows,
    ));
}

fn plan(args: &PlanArgs) -> Outcome {
    let options = args.shape.options();
    let seed = args.shape.seed.clone().unwrap_or_else(|| "gantry".to_owned());
    let plan = RackPlan::derive(&seed, &options);
    match args.what.as_str() {
        "hardware" => output::text(&plan.hardware_csv()),
        "cluster" => output::text(&cluster_yaml::render(
            &plan.facts(),
            &args.kubernetes_version,
            &args.os_image_url,
        )),
        _ => output::line(serde_json::to_string_pretty(&plan.facts())?),
    }
    Ok(())
}

async fn show_stages(global: &Global, args: &StagesArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let snapshot = Snapshot::read(&client, &args.namespace).await?;
    let mut evidence = Evidence::default();
    for hardware in &snapshot.hardware {
        evidence.add(&client, &hardware.name_any()).await?;
    }
    let log = lab::status(args.rack.as_deref(), None)?.bmc_log;
    let rows = stages::rows(&stages::stages(&snapshot, &evidence, &stages::bmc_log(&log)));
    let header: Vec<&str> = std::iter::once("MACHINE").chain(stages::STAGES).collect();
    output::text(&output::table(&header, &rows));
    Ok(())
}

async fn supervise(directory: &Path) -> Outcome {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    Ok(lab::supervise(directory).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hardware.csv.example` is what the quickstart uses; after a change of the plan it is made anew with
    /// `gantry lab plan hardware --seed quickstart > hardware.csv.example`.
    #[test]
    fn the_example_is_the_quickstarts_hardware() {
        let plan = RackPlan::derive("quickstart", &UpOptions::default());
        let example = include_str!("../../../../hardware.csv.example");
        assert_eq!(plan.hardware_csv(), example);
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_rack() {
        use clap::Parser;
        let cli = crate::cli::Cli::try_parse_from(["gantry", "lab", "up"]).unwrap();
        let crate::cli::Command::Lab(LabCommand::Up(args)) = cli.command else {
            panic!("not up")
        };
        assert_eq!(args.shape.options(), UpOptions::default());
    }
}
