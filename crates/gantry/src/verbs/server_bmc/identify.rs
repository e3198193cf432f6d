//! `gantry server identify`: the light by which a server is found in its rack.

use clap::Args;
use jiff::Timestamp;
use kube::Client;
use resources::bmc::{Action, Indicator};
use resources::keys;

use crate::failure::Outcome;
use crate::{bmc_job, output};

#[derive(Debug, Args)]
#[command(
    after_help = "The light stays on until it is switched off.\n\nExamples:\n  gantry server identify node-a\n  \
                        gantry server identify node-a --off"
)]
pub(crate) struct IdentifyArgs {
    /// Names of servers, as `gantry get servers` shows them.
    #[arg(required_unless_present = "selector")]
    names: Vec<String>,
    /// Servers with these labels.
    #[arg(short = 'l', long, value_name = "KEY=VALUE,...")]
    selector: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Switch it off.
    #[arg(long)]
    off: bool,
}

pub(super) async fn run(client: &Client, args: &IdentifyArgs) -> Outcome {
    let names = bmc_job::names(client, &args.namespace, &args.names, args.selector.as_deref()).await?;
    let (light, word) = match args.off {
        true => (Indicator::Off, "off"),
        false => (Indicator::On, "on"),
    };
    for name in names {
        let (_, bmc) = bmc_job::target(client, &args.namespace, &name).await?;
        let action = Action {
            indicator: Some(light),
            ..Action::default()
        };
        let job = bmc_job::job("identify", &name, &bmc, action, Timestamp::now());
        let job = bmc_job::make(client, &job).await?;
        bmc_job::wait(client, &args.namespace, &job, &name).await?;
        bmc_job::forget(client, &args.namespace, &job).await;
        output::line(format!("{name}: its identify light is {word}"));
    }
    Ok(())
}
