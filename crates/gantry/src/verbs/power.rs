//! `gantry power on|off|cycle|status NAME`: the power of one server, by a Job at its BMC as kubectl would make it. The Job is
//! the record of what was wanted and by whom it was carried out; while an attempt is open on the server it waits.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kube::api::{Api, ObjectMeta, Patch, PostParams};
use kube::{Client, Resource, ResourceExt as _};
use resources::bmc::{Action, ConditionKind, Job, JobSpec, Machine, NamespacedRef, PowerAction};
use resources::gantry::Server;
use resources::keys;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::snapshot::word;
use crate::{connection, output};

const LOOK: Duration = Duration::from_millis(500);
/// How long a BMC may take to say its power state: its own time limits, and a pause of the appliance after failures.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(crate) enum PowerCommand {
    /// Switch a server on.
    On(SwitchArgs),
    /// Switch a server off at once, without asking its operating system.
    Off(SwitchArgs),
    /// Switch a server off and on.
    Cycle(SwitchArgs),
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
        PowerCommand::Off(args) => switch(&client, &args, PowerAction::Off).await,
        PowerCommand::Cycle(args) => switch(&client, &args, PowerAction::Cycle).await,
        PowerCommand::Status(args) => status(&client, &args).await,
    }
}

/// The server and its BMC.
async fn found(client: &Client, namespace: &str, name: &str) -> Outcome<(Server, Machine)> {
    let servers: Api<Server> = Api::namespaced(client.clone(), namespace);
    let Some(server) = servers.get_opt(name).await? else {
        return Err(Failure::text(format!(
            "there is no server {name} in {namespace}; see: gantry get servers -A"
        )));
    };
    let Some(bmc) = &server.spec.bmc else {
        return Err(Failure::text(format!(
            "{name} has no BMC: its power is switched by hand; to give it one, fill bmc_ip, bmc_username and bmc_password in \
             hardware.csv and import it again"
        )));
    };
    let bmcs: Api<Machine> = Api::namespaced(client.clone(), namespace);
    match bmcs.get_opt(bmc).await? {
        Some(machine) => Ok((server, machine)),
        None => Err(Failure::text(format!(
            "the BMC {bmc} of {name} is gone; see: gantry get bmcs -A"
        ))),
    }
}

async fn switch(client: &Client, args: &SwitchArgs, action: PowerAction) -> Outcome {
    let (server, bmc) = found(client, &args.namespace, &args.name).await?;
    if let Some(question) = question(&server, action).filter(|_| !args.yes) {
        output::agreed(&format!("power {}", word(action)), &args.name, &question)?;
    }
    let jobs: Api<Job> = Api::namespaced(client.clone(), &args.namespace);
    let job = job(&args.name, &bmc, action, Timestamp::now());
    let job = jobs.create(&PostParams::default(), &job).await?.name_any();
    if args.no_wait {
        output::line(format!(
            "{}: Job {job} is made; to watch: gantry explain {}",
            args.name, args.name
        ));
        return Ok(());
    }
    let mut told = String::new();
    loop {
        let Some(now) = jobs.get_opt(&job).await? else {
            return Err(Failure::text(format!("Job {job} was deleted before it ended")));
        };
        let (kind, message) = state(&now);
        match kind {
            Some(ConditionKind::Completed) => {
                output::line(format!("{}: power {} is done", args.name, word(action)));
                return Ok(());
            }
            Some(ConditionKind::Failed) => {
                return Err(Failure::text(format!("{}: {message}", args.name)));
            }
            _ if message != told => {
                output::note(format!("{}: {message}", args.name));
                told = message;
            }
            _ => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What to ask before the power of a server goes that somebody uses.
fn question(server: &Server, action: PowerAction) -> Option<String> {
    let claim = server.spec.claim.as_ref().filter(|_| action != PowerAction::On)?;
    Some(format!(
        "{} is in use by {} {}; its power goes without a shutdown. Go on? [y/N] ",
        server.name_any(),
        claim.kind,
        claim.name
    ))
}

/// The Job, which goes with its BMC.
fn job(server: &str, bmc: &Machine, action: PowerAction, now: Timestamp) -> Job {
    let namespace = bmc.namespace().unwrap_or_default();
    Job {
        metadata: ObjectMeta {
            name: Some(format!(
                "power-{}-{server}-{}",
                word(action),
                now.as_millisecond()
            )),
            namespace: Some(namespace.clone()),
            owner_references: Some(bmc.owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: JobSpec {
            machine_ref: NamespacedRef {
                name: bmc.name_any(),
                namespace,
            },
            tasks: vec![Action {
                power_action: Some(action),
                ..Action::default()
            }],
        },
        status: None,
    }
}

/// The condition that holds, and its message.
fn state(job: &Job) -> (Option<ConditionKind>, String) {
    let mut conditions = job.status.iter().flat_map(|status| &status.conditions);
    let held = conditions.find(|condition| condition.status == "True");
    let message = held.and_then(|held| held.message.clone());
    (
        held.map(|held| held.kind),
        message.unwrap_or_else(|| "waits".to_owned()),
    )
}

async fn status(client: &Client, args: &StatusArgs) -> Outcome {
    let (_, before) = found(client, &args.namespace, &args.name).await?;
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
    fn a_job_as_kubectl_would_make_it() {
        let made = job(
            "n1",
            &bmc(),
            PowerAction::Cycle,
            Timestamp::from_second(1_800_000_000).unwrap(),
        );
        let made = serde_json::to_value(made).unwrap();
        assert_eq!(made["metadata"]["name"], "power-cycle-n1-1800000000000");
        assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "bmc-n1");
        let expected =
            json!({"machineRef": {"name": "bmc-n1", "namespace": "n"}, "tasks": [{"powerAction": "cycle"}]});
        assert_eq!(made["spec"], expected);
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
        let mut made = job("n1", &bmc(), PowerAction::On, Timestamp::UNIX_EPOCH);
        assert_eq!(state(&made), (None, "waits".to_owned()));
        made.status = serde_json::from_value(json!({"conditions": [
            {"type": "Running", "status": "False"}, {"type": "Failed", "status": "True", "message": "task 0: no route"}]}))
        .unwrap();
        assert_eq!(
            state(&made),
            (Some(ConditionKind::Failed), "task 0: no route".to_owned())
        );
    }
}
