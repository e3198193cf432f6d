//! `gantry server sensors|log|firmware|capabilities|identify|boot`: what the BMC of a server says about its hardware, and what
//! it can do beside switching the power.

mod boot;
mod identify;
mod report;
mod tables;
mod told;

use clap::Subcommand;

use crate::connection;
use crate::failure::Outcome;
use crate::global::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// What the sensors read: temperatures, fans, voltages, power supplies.
    Sensors(report::ReportArgs),
    /// The event log of the BMC, newest entry last.
    Log(report::ReportArgs),
    /// Versions of firmware, and the parts with their serial numbers.
    Firmware(report::ReportArgs),
    /// What the BMC can do, and why it cannot do the rest.
    Capabilities(report::ReportArgs),
    /// Switch the light by which the server is found in its rack.
    Identify(identify::IdentifyArgs),
    /// Choose what the server boots from next.
    Boot(boot::BootArgs),
}

pub(crate) async fn run(global: &Global, command: ServerCommand) -> Outcome {
    use resources::bmc::ReportKind;
    let client = connection::connect(global).await?;
    match command {
        ServerCommand::Sensors(args) => report::run(&client, &args, ReportKind::Sensors).await,
        ServerCommand::Log(args) => report::run(&client, &args, ReportKind::Log).await,
        ServerCommand::Firmware(args) => report::run(&client, &args, ReportKind::Firmware).await,
        ServerCommand::Capabilities(args) => report::run(&client, &args, ReportKind::Capabilities).await,
        ServerCommand::Identify(args) => identify::run(&client, &args).await,
        ServerCommand::Boot(args) => boot::run(&client, &args).await,
    }
}
