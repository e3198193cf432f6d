//! `gantry driver check|conformance`.

mod check;
mod conformance;
mod started;

use clap::Subcommand;

pub(crate) use started::LAUNCH;

use crate::failure::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum DriverCommand {
    /// Start a driver, say what it is, and have it check a scope.
    Check(check::CheckArgs),
    /// Run the conformance suite against a driver. It makes and deletes machines at the provider.
    Conformance(conformance::ConformanceArgs),
}

pub(crate) async fn run(command: DriverCommand) -> Outcome {
    match command {
        DriverCommand::Check(args) => check::run(&args).await,
        DriverCommand::Conformance(args) => conformance::run(args).await,
    }
}
