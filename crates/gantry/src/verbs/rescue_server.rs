//! `gantry rescue server NAME`: a Template and a Workflow that boot a quarantined server into the installer and touch no disk.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt};
use resources::bmc::{Action, BootDevice, OneTimeBootDeviceAction, PowerAction};
use resources::gantry::{ProviderMachine, Server, ServerState};
use resources::keys;
use resources::tinkerbell::{
    BootMode, BootOptions, CustombootConfig, Hardware, Template, TemplateSpec, Workflow, WorkflowSpec,
    WorkflowState,
};

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::snapshot::word;
use crate::{connection, output};

/// Label of what this verb makes, with the name of the server.
const LABEL: &str = "gantry.dev/rescue";

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry quarantine server node-a --reason 'disk errors'\n  gantry rescue server node-a\n  gantry evidence \
                  node-a\n  gantry rescue server node-a --end"
)]
pub(crate) struct RescueArgs {
    /// Name of the server, as `gantry get servers` shows it.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Minutes that the installer stays up; then its BMC powers the machine off.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// You have seen enough: the installer is called off. A server that its machine gives back is powered off then.
    #[arg(long)]
    end: bool,
}

pub(crate) async fn run(global: &Global, args: &RescueArgs) -> Outcome {
    let client = connection::connect(global).await?;
    if args.end {
        return end(&client, args).await;
    }
    let missing = |kind: &str| {
        Failure::text(format!(
            "there is no {kind} {} in {}; see: gantry get servers -A",
            args.name, args.namespace
        ))
    };
    let servers: Api<Server> = Api::namespaced(client.clone(), &args.namespace);
    let server = servers
        .get_opt(&args.name)
        .await?
        .ok_or_else(|| missing("server"))?;
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), &args.namespace);
    let hardware = hardware
        .get_opt(&server.spec.hardware)
        .await?
        .ok_or_else(|| missing("Hardware"))?;
    let owner = match &server.spec.claim {
        Some(claim) => {
            let machines: Api<ProviderMachine> = Api::namespaced(client.clone(), &claim.namespace);
            machines.get_opt(&claim.name).await?
        }
        None => None,
    };
    let earlier = made(&client, args).await?;
    let open = earlier.iter().find(|workflow| is_open(workflow));
    judge(&server, owner.as_ref(), open).map_err(Failure::text)?;
    let name = format!("rescue-{}-{}", args.name, Timestamp::now().as_second());
    let (template, workflow) = objects(&name, &server, &hardware, args.minutes)?;
    let params = PostParams::default();
    Api::<Template>::namespaced(client.clone(), &args.namespace)
        .create(&params, &template)
        .await?;
    Api::<Workflow>::namespaced(client, &args.namespace)
        .create(&params, &workflow)
        .await?;
    output::line(format!(
        "{}: boots the installer; to watch: gantry explain {}; what it reports: gantry evidence {}",
        args.name, args.name, args.name
    ));
    Ok(())
}

/// The Workflows that this verb has made for the server.
async fn made(client: &Client, args: &RescueArgs) -> Outcome<Vec<Workflow>> {
    let workflows: Api<Workflow> = Api::namespaced(client.clone(), &args.namespace);
    Ok(workflows.list(&of_server(args)).await?.items)
}

fn of_server(args: &RescueArgs) -> ListParams {
    ListParams::default().labels(&format!("{LABEL}={}", args.name))
}

fn is_open(workflow: &Workflow) -> bool {
    let state = workflow.status.as_ref().and_then(|status| status.state);
    workflow.metadata.deletion_timestamp.is_none() && !state.is_some_and(WorkflowState::is_terminal)
}

/// Removes what this verb has made for the server.
async fn end(client: &Client, args: &RescueArgs) -> Outcome {
    let found = made(client, args).await?;
    if found.is_empty() {
        return Err(Failure::text(format!("{} is not being rescued", args.name)));
    }
    let gone = DeleteParams::default();
    let templates: Api<Template> = Api::namespaced(client.clone(), &args.namespace);
    for template in templates.list(&of_server(args)).await? {
        templates.delete(&template.name_any(), &gone).await?;
    }
    let workflows: Api<Workflow> = Api::namespaced(client.clone(), &args.namespace);
    for workflow in &found {
        workflows.delete(&workflow.name_any(), &gone).await?;
    }
    let servers: Api<Server> = Api::namespaced(client.clone(), &args.namespace);
    let server = servers.get_opt(&args.name).await?;
    let said = ended(found.iter().any(is_open), server.as_ref());
    output::line(format!("{}: {said}", args.name));
    Ok(())
}

/// What the end of a rescue that was open, or not, means for the machine.
fn ended(was_open: bool, server: Option<&Server>) -> &'static str {
    match server.and_then(|server| server.spec.claim.as_ref()) {
        _ if !was_open => "was over already; its records are removed",
        Some(_) => "the installer is called off, and the machine is powered off",
        None => {
            "the installer is called off; no machine of a cluster has the server, so it stays on until you switch it off"
        }
    }
}

/// Whether nothing that anybody needs runs on the server; `open` boots the installer on it already.
fn judge(server: &Server, owner: Option<&ProviderMachine>, open: Option<&Workflow>) -> Result<(), String> {
    let name = server.name_any();
    if let Some(workflow) = open {
        return Err(format!(
            "Workflow {} boots {name} already; to watch: gantry explain {name}; to end it: gantry rescue server {name} --end",
            workflow.name_any()
        ));
    }
    let status = server.status.clone().unwrap_or_default();
    if server.spec.quarantine.is_none() {
        return Err(format!(
            "{name} is not in quarantine; first: gantry quarantine server {name} --reason TEXT"
        ));
    }
    if server.spec.restored.is_some() {
        return Err(format!(
            "what is known of {name} comes from a backup, so it is not powered; first: gantry verify server {name}"
        ));
    }
    let is_free = server.spec.claim.is_none() && status.state == ServerState::Available;
    // Without a BMC a person powers it on, and so knows.
    let is_off = server.spec.bmc.is_none() || status.power.as_deref() == Some("off");
    let is_given_up = owner.is_some_and(|owner| owner.metadata.deletion_timestamp.is_some());
    if is_free || (is_given_up && is_off) {
        return Ok(());
    }
    Err(match &server.spec.claim {
        None => format!("{name} is {}; wait until it is available", word(status.state)),
        Some(_) if is_given_up => {
            format!("{name} is not off yet; what that waits for: gantry explain {name}")
        }
        Some(claim) => format!(
            "{name} is in use by {} {}; first take that out of its cluster: gantry replace machine {}",
            claim.kind, claim.name, claim.name
        ),
    })
}

fn objects(name: &str, server: &Server, hardware: &Hardware, minutes: u32) -> Outcome<(Template, Workflow)> {
    let interfaces = || {
        hardware
            .spec
            .interfaces
            .iter()
            .filter_map(|nic| nic.dhcp.as_ref())
    };
    let mac = interfaces().find_map(|dhcp| dhcp.mac).ok_or_else(|| {
        Failure::text(format!(
            "Hardware {} names no dhcp.mac, so it can't boot",
            hardware.name_any()
        ))
    })?;
    let agent = hardware.spec.agent_id.clone().unwrap_or_else(|| mac.to_string());
    let uefi = interfaces().any(|dhcp| dhcp.uefi == Some(true));
    let seconds = u64::from(minutes) * 60;
    let text = format!(
        "version: \"0.1\"\nname: {name}\nglobal_timeout: {}\ntasks:\n- name: {name}\n  worker: \"{{{{.device_1}}}}\"\n  actions:\n  - \
         name: inspect\n    image: gantry/inspect\n    timeout: {}\n    environment:\n      HOLD_MINUTES: \"{minutes}\"\n",
        seconds + 1200,
        seconds + 600
    );
    let mut template = Template::new(name, TemplateSpec { data: Some(text) });
    let mut workflow = Workflow::new(
        name,
        WorkflowSpec {
            template_ref: Some(name.to_owned()),
            hardware_ref: Some(server.spec.hardware.clone()),
            hardware_map: BTreeMap::from([("device_1".to_owned(), agent)]),
            boot_options: Some(boot_options(server.spec.bmc.is_some(), uefi)),
            ..WorkflowSpec::default()
        },
    );
    for labels in [template.labels_mut(), workflow.labels_mut()] {
        labels.insert(LABEL.to_owned(), server.name_any());
    }
    Ok((template, workflow))
}

/// Off, once from the network, on; off again when it is over.
fn boot_options(has_bmc: bool, uefi: bool) -> BootOptions {
    let power = |action| Action {
        power_action: Some(action),
        ..Action::default()
    };
    let once = Action {
        one_time_boot_device_action: Some(OneTimeBootDeviceAction {
            device: vec![BootDevice::Pxe],
            efi_boot: uefi,
        }),
        ..Action::default()
    };
    BootOptions {
        toggle_allow_netboot: true,
        boot_mode: has_bmc.then_some(BootMode::Customboot),
        custom_boot_config: has_bmc.then(|| CustombootConfig {
            preparing_actions: vec![power(PowerAction::Off), once, power(PowerAction::On)],
            post_actions: vec![power(PowerAction::Off)],
        }),
        ..BootOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use resources::gantry::ProviderMachineSpec;
    use serde_json::{Value, json};

    use super::*;

    fn server(spec: Value, status: Value) -> Server {
        let mut server = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-a"},
            "spec": {"machineId": "m", "hardware": "node-a", "bmc": "bmc-a"}, "status": status,
        });
        server["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        serde_json::from_value(server).unwrap()
    }

    #[test]
    fn only_a_server_in_quarantine_on_which_nothing_runs_is_rescued() {
        let quarantine = json!({"reason": "fan"});
        let claim = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": "n"});
        let machine = |deleting: bool| {
            let mut machine = ProviderMachine::new("prod-1", ProviderMachineSpec::default());
            let at = json!("2026-01-01T00:00:00Z");
            machine.metadata.deletion_timestamp = deleting.then(|| serde_json::from_value(at).unwrap());
            machine
        };
        let kept = |power: &str| {
            server(
                json!({"quarantine": quarantine, "claim": claim}),
                json!({"state": "claimed", "power": power}),
            )
        };
        let free = server(json!({"quarantine": quarantine}), json!({"state": "available"}));
        assert_eq!(judge(&free, None, None), Ok(()));
        assert_eq!(judge(&kept("off"), Some(&machine(true)), None), Ok(()));
        // It is on by that, and no longer available.
        let open = Workflow::new("rescue-node-a-1", WorkflowSpec::default());
        let refused = judge(&kept("on"), Some(&machine(true)), Some(&open)).unwrap_err();
        assert!(
            refused.contains("rescue-node-a-1 boots node-a already")
                && refused.contains("gantry rescue server node-a --end"),
            "{refused}"
        );
        for (what, server, owner, part) in [
            (
                "free",
                server(json!({}), json!({"state": "available"})),
                None,
                "gantry quarantine server node-a",
            ),
            ("runs", kept("on"), Some(machine(true)), "not off yet"),
            (
                "power not known",
                kept("unknown"),
                Some(machine(true)),
                "not off yet",
            ),
            (
                "restored",
                server(
                    json!({"quarantine": quarantine,
                        "restored": {"backupAt": "2026-01-01T00:00:00Z", "at": "2026-01-02T00:00:00Z"}}),
                    json!({"state": "available"}),
                ),
                None,
                "gantry verify server node-a",
            ),
            (
                "not deleted",
                kept("off"),
                Some(machine(false)),
                "gantry replace machine prod-1",
            ),
            ("no owner", kept("off"), None, "gantry replace machine prod-1"),
            (
                "settles",
                server(json!({"quarantine": quarantine}), json!({"state": "releasing"})),
                None,
                "is releasing",
            ),
        ] {
            let refused = judge(&server, owner.as_ref(), None).unwrap_err();
            assert!(refused.contains(part), "{what}: {refused}");
        }
    }

    #[test]
    fn the_end_says_whether_the_machine_is_switched_off() {
        let claim = json!({"claim": {"kind": "ProviderMachine", "name": "prod-1", "namespace": "n"}});
        let kept = server(claim, json!({"state": "provisioning"}));
        let free = server(json!({}), json!({"state": "provisioning"}));
        assert!(ended(true, Some(&kept)).contains("is powered off"));
        assert!(ended(true, Some(&free)).contains("stays on"));
        assert!(ended(false, Some(&free)).contains("over already"));
    }

    #[test]
    fn it_boots_once_from_the_network_and_is_switched_off_at_the_end() {
        let hardware = json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": "node-a"},
            "spec": {"interfaces": [{"dhcp": {"mac": "52:54:00:00:00:01", "uefi": true}}]}});
        let hardware: Hardware = serde_json::from_value(hardware).unwrap();
        let server = server(json!({}), json!({"state": "available"}));
        let (template, workflow) = objects("rescue-node-a-1", &server, &hardware, 30).unwrap();
        let text = template.spec.data.unwrap();
        for part in [
            "image: gantry/inspect",
            "timeout: 2400",
            "HOLD_MINUTES: \"30\"",
            "worker: \"{{.device_1}}\"",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert_eq!(workflow.spec.hardware_map["device_1"], "52:54:00:00:00:01");
        let config = workflow.spec.boot_options.unwrap().custom_boot_config.unwrap();
        let once = config.preparing_actions[1]
            .one_time_boot_device_action
            .clone()
            .unwrap();
        assert_eq!((once.device, once.efi_boot), (vec![BootDevice::Pxe], true));
        assert_eq!(config.post_actions[0].power_action, Some(PowerAction::Off));
        assert_eq!(boot_options(false, true).boot_mode, None);
    }
}
