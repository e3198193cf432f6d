//! `gantry power on|off|cycle|reset|nmi|status NAME`: the power of one server, by a Job at its BMC as kubectl would make it. The Job is
//! the record of what was wanted and by whom it was carried out; while an attempt is open on the server it waits.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kube::api::{Api, Patch};
use kube::{Client, ResourceExt as _};
use resources::bmc::{Action, Machine, PowerAction};
use resources::gantry::Server;
use resources::keys;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::snapshot::word;
use crate::{bmc_job, connection, output};

const LOOK: Duration = Duration::from_millis(500);
/// How long a BMC may take to say its power state: its own time limits, and a pause of the appliance after failures.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(crate) enum PowerCommand {
    /// Switch a server on.
    On(SwitchArgs),
    /// Switch a server off: at once, or with --soft by its operating system.
    Off(OffArgs),
    /// Switch a server off and on.
    Cycle(SwitchArgs),
    /// Start a server anew by its reset line; its power stays on.
    Reset(SwitchArgs),
    /// Send a non-maskable interrupt, by which a hanging system writes its crash dump.
    Nmi(SwitchArgs),
    /// Ask the BMC for the power state, and say by which protocol it was asked.
    Status(StatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// Name of the server, as `gantry get servers` shows it.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Don't ask, also where the server is in use.
    #[arg(short, long)]
    yes: bool,
    /// Return once the Job is made.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OffArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Ask the operating system to shut down, and wait up to ten minutes until the server is off.
    #[arg(long)]
    soft: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Name of the server, as `gantry get servers` shows it.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

pub(crate) async fn run(global: &Global, command: PowerCommand) -> Outcome {
    let client = connection::connect(global).await?;
    match command {
        PowerCommand::On(args) => switch(&client, &args, PowerAction::On).await,
        PowerCommand::Off(args) if args.soft => switch(&client, &args.switch, PowerAction::Soft).await,
        PowerCommand::Off(args) => switch(&client, &args.switch, PowerAction::Off).await,
        PowerCommand::Cycle(args) => switch(&client, &args, PowerAction::Cycle).await,
        PowerCommand::Reset(args) => switch(&client, &args, PowerAction::Reset).await,
        PowerCommand::Nmi(args) => switch(&client, &args, PowerAction::Nmi).await,
        PowerCommand::Status(args) => status(&client, &args).await,
    }
}

async fn switch(client: &Client, args: &SwitchArgs, action: PowerAction) -> Outcome {
    let (server, bmc) = bmc_job::target(client, &args.namespace, &args.name).await?;
    if let Some(question) = question(&server, action).filter(|_| !args.yes) {
        output::agreed(&format!("power {}", word(action)), &args.name, &question)?;
    }
    let wanted = Action {
        power_action: Some(action),
        ..Action::default()
    };
    let verb = format!("power-{}", word(action));
    let job = bmc_job::job(&verb, &args.name, &bmc, wanted, Timestamp::now());
    let job = bmc_job::make(client, &job).await?;
    if args.no_wait {
        output::line(format!(
            "{}: Job {job} is made; to watch: gantry explain {}",
            args.name, args.name
        ));
        return Ok(());
    }
    bmc_job::wait(client, &args.namespace, &job, &args.name).await?;
    output::line(format!("{}: power {} is done", args.name, word(action)));
    Ok(())
}

/// What to ask before the power of a server goes that somebody uses.
fn question(server: &Server, action: PowerAction) -> Option<String> {
    let claim = server.spec.claim.as_ref()?;
    let effect = match action {
        PowerAction::On | PowerAction::Status => return None,
        PowerAction::Off | PowerAction::Cycle => "its power goes without a shutdown",
        PowerAction::Soft => "its operating system is asked to shut down",
        PowerAction::Reset => "it starts anew without a shutdown",
        PowerAction::Nmi => "its operating system may stop and write a crash dump",
    };
    Some(format!(
        "{} is in use by {} {}; {effect}. Go on? [y/N] ",
        server.name_any(),
        claim.kind,
        claim.name
    ))
}

async fn status(client: &Client, args: &StatusArgs) -> Outcome {
    let (_, before) = bmc_job::target(client, &args.namespace, &args.name).await?;
    let bmcs: Api<Machine> = Api::namespaced(client.clone(), &args.namespace);
    let name = before.name_any();
    let wish = json!({"metadata": {"annotations": {keys::POLL_REQUESTED: Timestamp::now().to_string()}}});
    bmcs.patch(&name, &connection::patch_params(), &Patch::Merge(wish))
        .await?;
    let polled = |machine: &Machine| {
        machine
            .status
            .as_ref()
            .and_then(|status| status.last_polled.clone())
    };
    let asked = tokio::time::Instant::now();
    while asked.elapsed() < PATIENCE {
        let now = bmcs.get(&name).await?;
        if polled(&now) != polled(&before) {
            output::line(format!("{}: {}", args.name, told(&now)));
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let problem = before
        .status
        .as_ref()
        .and_then(|status| status.conditions.first()?.message.clone());
    Err(Failure::text(format!(
        "{}: the BMC has not been asked within {} s ({}); is the appliance running?",
        args.name,
        PATIENCE.as_secs(),
        problem.unwrap_or_else(|| "no reason is known".to_owned())
    )))
}

/// A BMC's state in one line.
fn told(machine: &Machine) -> String {
    let status = machine.status.clone().unwrap_or_default();
    let power = status.power_state.map_or("unknown".to_owned(), word);
    if let Some(protocol) = status.protocol {
        let reason = status.protocol_reason.unwrap_or_default();
        return format!("{power}, by {protocol} ({reason})");
    }
    let message = status.conditions.first().and_then(|held| held.message.clone());
    format!(
        "{power}: {}",
        message.unwrap_or_else(|| "no reason is known".to_owned())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bmc() -> Machine {
        serde_json::from_value(
            json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine",
            "metadata": {"name": "bmc-n1", "namespace": "n", "uid": "u"},
            "spec": {"connection": {"host": "192.0.2.101"}},
            "status": {"powerState": "off", "protocol": "ipmi", "protocolReason": "the only one"}}),
        )
        .unwrap()
    }

    #[test]
    fn only_what_takes_power_from_a_user_is_asked() {
        let server = |claim: serde_json::Value| -> Server {
            serde_json::from_value(json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server",
                "metadata": {"name": "n1"}, "spec": {"machineId": "m", "hardware": "n1", "claim": claim}}))
            .unwrap()
        };
        let used = json!({"kind": "ProviderMachine", "name": "c-1", "namespace": "n", "uid": "u"});
        for (claim, action, asks) in [
            (json!(null), PowerAction::Off, false),
            (used.clone(), PowerAction::On, false),
            (used.clone(), PowerAction::Off, true),
            (used.clone(), PowerAction::Soft, true),
            (used.clone(), PowerAction::Reset, true),
            (used.clone(), PowerAction::Nmi, true),
            (used, PowerAction::Cycle, true),
        ] {
            let question = question(&server(claim), action);
            assert_eq!(question.is_some(), asks, "{question:?}");
        }
    }

    #[test]
    fn states_in_words() {
        assert_eq!(told(&bmc()), "off, by IPMI (the only one)");
        let mut silent = bmc();
        silent.status = serde_json::from_value(json!({"powerState": "unknown", "conditions": [
            {"type": "Contactable", "status": "False", "message": "no route"}]}))
        .unwrap();
        assert_eq!(told(&silent), "unknown: no route");
    }
}
