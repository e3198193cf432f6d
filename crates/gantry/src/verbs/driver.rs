//! `gantry driver list|logs|gc|check|conformance`.

mod check;
mod conformance;
mod gc;
mod list;
mod logs;
mod objects;
mod started;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::global::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum DriverCommand {
    /// The drivers that the appliance runs, and how they are.
    List(list::ListArgs),
    /// What a driver has written.
    Logs(logs::LogsArgs),
    /// What is left at providers of machines that nobody wants any more.
    Gc(gc::GcArgs),
    /// Start a driver, say what it is, and have it check a scope.
    Check(check::CheckArgs),
    /// Run the conformance suite against a driver. It makes and deletes machines at the provider.
    Conformance(conformance::ConformanceArgs),
}

pub(crate) async fn run(global: &Global, command: DriverCommand) -> Outcome {
    match command {
        DriverCommand::List(args) => list::run(global, &args).await,
        DriverCommand::Logs(args) => logs::run(global, &args).await,
        DriverCommand::Gc(args) => gc::run(global, &args).await,
        DriverCommand::Check(args) => check::run(&args).await,
        DriverCommand::Conformance(args) => conformance::run(args).await,
    }
}
