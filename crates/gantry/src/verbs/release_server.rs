//! `gantry release server NAME`: a person's statement about a server that is being given back, where Gantry can neither
//! see nor switch its power.

use std::time::Duration;

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, Patch};
use resources::gantry::{ProviderMachine, ReleaseStatement, Server, ServerState, StatedPower};
use resources::{Time, keys};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::snapshot::word;
use crate::{connection, output};

/// How often a lost race is decided again.
const TRIES: u32 = 5;
/// How long the effect of the statement is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("power").required(true),
    after_help = "Examples:\n  gantry release server node-a --powered-off\n  gantry release server node-a --force --reason \
                  'BMC is dead, ticket 4711'\n  gantry release server node-a --powered-off --unwiped --reason 'disk shredded'"
)]
pub(crate) struct ReleaseServerArgs {
    /// Name of the server.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// You have seen that the machine is switched off: the server becomes available, once its disks are wiped where its
    /// policy asks for that.
    #[arg(long, group = "power")]
    powered_off: bool,
    /// Give it back although its disks were not wiped: keys and system stay on them.
    #[arg(long, requires = "powered_off")]
    unwiped: bool,
    /// The machine can't be reached and may still run: its cluster lets it go, and the server is quarantined until it is
    /// stated to be off. Needs --reason.
    #[arg(long, group = "power", requires = "reason")]
    force: bool,
    /// Why, for whoever asks later.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Return once the statement is written.
    #[arg(long)]
    no_wait: bool,
}

/// What a statement leads to.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// This is to be written.
    State(ReleaseStatement),
    /// It was stated before.
    Stated,
}

pub(crate) async fn run(global: &Global, args: &ReleaseServerArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let servers: Api<Server> = Api::namespaced(client.clone(), &args.namespace);
    let machines: Api<ProviderMachine> = Api::namespaced(client, &args.namespace);
    for _ in 0..TRIES {
        let Some(server) = servers.get_opt(&args.name).await? else {
            return Err(Failure::text(format!(
                "there is no server {} in {}; see: gantry get servers -A",
                args.name, args.namespace
            )));
        };
        let owner = match server.spec.claim.as_ref() {
            Some(claim) if claim.kind == "ProviderMachine" => machines.get_opt(&claim.name).await?,
            _ => None,
        };
        let power = if args.force {
            StatedPower::Unknown
        } else {
            StatedPower::Off
        };
        let reason = args.reason.clone().unwrap_or_default();
        let statement = match judge(&server, owner.as_ref(), power, args.unwiped, reason) {
            Err(why) => return Err(Failure::text(why)),
            Ok(Verdict::Stated) => break,
            Ok(Verdict::State(statement)) => statement,
        };
        // The resource version makes the write fail when somebody changed the server meanwhile.
        let patch = json!({
            "metadata": { "resourceVersion": server.metadata.resource_version },
            "spec": { "release": ReleaseStatement { at: Some(Time(Timestamp::now())), ..statement } },
        });
        let params = connection::patch_params();
        match servers.patch(&args.name, &params, &Patch::Merge(patch)).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    if args.no_wait {
        output::line(format!("{}: stated", args.name));
        return Ok(());
    }
    settle(&servers, &args.name).await
}

/// Whether this statement may be made of a server now.
fn judge(
    server: &Server,
    owner: Option<&ProviderMachine>,
    power: StatedPower,
    unwiped: bool,
    reason: String,
) -> Result<Verdict, String> {
    let name = server.name_any();
    let status = server.status.clone().unwrap_or_default();
    if power == StatedPower::Off && status.power.as_deref() == Some("on") {
        return Err(format!(
            "the BMC of {name} says that it is on; switch it off (a BMC Job with powerAction off, or by hand) and repeat"
        ));
    }
    let stated = server.spec.release.as_ref();
    let owner_name = match (&server.spec.claim, owner) {
        (Some(claim), Some(machine)) if machine.metadata.deletion_timestamp.is_some() => claim.name.clone(),
        (Some(claim), _) => {
            let cluster = claim.cluster.as_deref().unwrap_or("NAME");
            return Err(format!(
                "{name} is in use by {} {}, which is not being deleted; first: gantry delete cluster {cluster}",
                claim.kind, claim.name
            ));
        }
        (None, _) if stated.is_some() && status.state != ServerState::Available => String::new(),
        (None, _) => {
            return Err(format!(
                "{name} is {} and claimed by nobody: there is nothing to release",
                word(status.state)
            ));
        }
    };
    let again = stated
        .is_some_and(|stated| stated.power == power && (stated.owner == owner_name || owner_name.is_empty()));
    // While an owner has the server, its power may have changed since: a wipe starts the machine.
    let may_be_outdated = power == StatedPower::Off && !owner_name.is_empty();
    if again && !may_be_outdated {
        return Ok(Verdict::Stated);
    }
    if power == StatedPower::Unknown && owner_name.is_empty() {
        return Err(format!(
            "{name} is already being released as powered off; there is nothing left to force"
        ));
    }
    Ok(Verdict::State(ReleaseStatement {
        power,
        owner: owner_name,
        reason,
        unwiped,
        at: None,
    }))
}

/// Waits until the server is available or in quarantine, and says which.
async fn settle(servers: &Api<Server>, name: &str) -> Outcome {
    let settled = async {
        loop {
            let server = servers.get_opt(name).await?;
            let Some(server) = server else {
                return Ok::<_, Failure>(format!("{name}: gone with its Hardware"));
            };
            let status = server.status.clone().unwrap_or_default();
            if server.spec.claim.is_none() {
                match status.state {
                    ServerState::Available => return Ok(format!("{name}: available")),
                    ServerState::Failed => {
                        return Ok(format!("{name}: {}", status.reason.unwrap_or_default()));
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, settled).await {
        Ok(line) => output::line(line?),
        Err(_) => output::line(format!(
            "{name}: stated; it is still being given back: gantry explain {name}"
        )),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(spec: serde_json::Value, status: serde_json::Value) -> Server {
        let mut server: Server = serde_json::from_value(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-a"},
            "spec": {"machineId": "m", "hardware": "node-a"}, "status": status,
        }))
        .unwrap();
        let mut whole = serde_json::to_value(&server.spec).unwrap();
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        server.spec = serde_json::from_value(whole).unwrap();
        server
    }

    fn machine(deleting: bool) -> ProviderMachine {
        let mut machine = ProviderMachine::new("prod-1", resources::gantry::ProviderMachineSpec::default());
        machine.metadata.deletion_timestamp =
            deleting.then(|| serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        machine
    }

    fn judged(
        server: &Server,
        owner: Option<&ProviderMachine>,
        power: StatedPower,
    ) -> Result<Verdict, String> {
        judge(server, owner, power, false, "why".to_owned())
    }

    fn stating(power: StatedPower, owner: &str) -> Verdict {
        Verdict::State(ReleaseStatement {
            power,
            owner: owner.into(),
            reason: "why".into(),
            unwiped: false,
            at: None,
        })
    }

    #[test]
    fn only_what_is_being_given_back_can_be_stated_off() {
        use StatedPower::{Off, Unknown};
        let claim = json!({"claim": {"kind": "ProviderMachine", "name": "prod-1", "namespace": "n", "cluster": "prod"}});
        let held = server(claim.clone(), json!({"state": "running"}));
        assert_eq!(
            judged(&held, Some(&machine(true)), Off),
            Ok(stating(Off, "prod-1"))
        );
        assert_eq!(
            judged(&held, Some(&machine(true)), Unknown),
            Ok(stating(Unknown, "prod-1"))
        );
        let refused = judged(&held, Some(&machine(false)), Off).unwrap_err();
        assert!(refused.contains("gantry delete cluster prod"), "{refused}");
        let on = server(claim.clone(), json!({"state": "running", "power": "on"}));
        let refused = judged(&on, Some(&machine(true)), Off).unwrap_err();
        assert!(refused.contains("says that it is on"), "{refused}");
        assert_eq!(
            judged(&on, Some(&machine(true)), Unknown),
            Ok(stating(Unknown, "prod-1"))
        );
        let free = server(json!({}), json!({"state": "available"}));
        let refused = judged(&free, None, Off).unwrap_err();
        assert!(refused.contains("available and claimed by nobody"), "{refused}");
    }

    #[test]
    fn a_machine_that_is_wiped_is_stated_off_again() {
        let stated = json!({"claim": {"kind": "ProviderMachine", "name": "prod-1", "namespace": "n", "cluster": "prod"},
            "release": {"power": "off", "owner": "prod-1"}});
        let server = server(stated, json!({"state": "claimed", "power": "off"}));
        let again = judged(&server, Some(&machine(true)), StatedPower::Off);
        assert_eq!(again, Ok(stating(StatedPower::Off, "prod-1")));
        let as_it_is = judge(
            &server,
            Some(&machine(true)),
            StatedPower::Off,
            true,
            "shredded".to_owned(),
        );
        assert!(matches!(as_it_is, Ok(Verdict::State(statement)) if statement.unwiped));
    }

    #[test]
    fn a_quarantined_server_is_freed_by_a_later_statement_and_repeating_is_no_error() {
        use StatedPower::{Off, Unknown};
        let release = json!({"release": {"power": "unknown", "owner": "prod-1", "reason": "dead BMC"}});
        let quarantined = server(release, json!({"state": "failed"}));
        assert_eq!(judged(&quarantined, None, Off), Ok(stating(Off, "")));
        assert_eq!(judged(&quarantined, None, Unknown), Ok(Verdict::Stated));
    }
}
