//! `gantry apply hardware -z FILE`, also `gantry create hardware`.

use std::path::PathBuf;

use clap::Args;
use resources::keys;

use crate::failure::Outcome;
use crate::global::Global;
use crate::{connection, hardware, output};

#[derive(Debug, Args)]
pub(crate) struct ApplyHardwareArgs {
    /// The CSV file, in EKS Anywhere's columns.
    #[arg(short = 'z', long, value_name = "FILE", env = "HARDWARE_CSV")]
    hardware_csv: PathBuf,
    /// Namespace of the objects.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Remove machines that came from this file, are not in it any more, and are free.
    #[arg(long)]
    prune: bool,
}

pub(crate) async fn run(global: &Global, args: &ApplyHardwareArgs) -> Outcome {
    let csv = hardware::read(&args.hardware_csv)?;
    let client = connection::connect(global).await?;
    let diff = hardware::compare(&client, &args.namespace, &csv).await?;
    for line in hardware::apply(&client, &args.namespace, &csv, &diff, args.prune).await? {
        output::line(line);
    }
    Ok(())
}
