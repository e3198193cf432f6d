//! `gantry generate hardware -z FILE`.

use std::path::PathBuf;

use clap::Args;
use resources::keys;

use crate::failure::Outcome;
use crate::{hardware, output};

#[derive(Debug, Args)]
pub(crate) struct GenerateHardwareArgs {
    /// The CSV file, in EKS Anywhere's columns.
    #[arg(short = 'z', long, value_name = "FILE", env = "HARDWARE_CSV")]
    hardware_csv: PathBuf,
    /// Write to this file (0600) instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Namespace of the objects.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Print user names and passwords of BMCs; without it they are left out and the output says so.
    #[arg(long)]
    include_secrets: bool,
}

pub(crate) fn run(args: &GenerateHardwareArgs) -> Outcome {
    let csv = hardware::read(&args.hardware_csv)?;
    let objects: Vec<_> = hardware_csv::to_objects(&csv.rows, &args.namespace, &csv.source).collect();
    let yaml = hardware_csv::to_yaml(&objects, args.include_secrets)?;
    match &args.output {
        Some(path) => output::private_file(path, yaml.as_bytes())?,
        None => output::text(&yaml),
    }
    Ok(())
}
