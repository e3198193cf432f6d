//! `gantry server boot NAME --once SOURCE`: what a server boots from next, written to its BMC and read back.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _};
use resources::bmc::{Action, BootDevice, BootDeviceAction};
use resources::keys;
use resources::tinkerbell::{Hardware, Workflow, WorkflowState};

use crate::failure::{Failure, Outcome};
use crate::snapshot::word;
use crate::{bmc_job, output};

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is powered: the choice counts for the next boot, and the BMC shows it before the command ends. While a \
                  workflow is under way on the server it is refused.\n\nExample:\n  gantry server boot node-a --once pxe && \
                  gantry power cycle node-a"
)]
pub(crate) struct BootArgs {
    /// Name of the server, as `gantry get servers` shows it.
    name: String,
    /// What the next boot is from.
    #[arg(long, value_enum, value_name = "SOURCE")]
    once: Source,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// The network, by DHCP and TFTP.
    Pxe,
    /// The network, by the HTTP boot of UEFI firmware.
    Http,
    /// The CD drive, which may be virtual media.
    Cd,
    /// The disk.
    Disk,
}

impl Source {
    fn device(self) -> BootDevice {
        match self {
            Self::Pxe => BootDevice::Pxe,
            Self::Http => BootDevice::Http,
            Self::Cd => BootDevice::Cdrom,
            Self::Disk => BootDevice::Disk,
        }
    }
}

pub(super) async fn run(client: &Client, args: &BootArgs) -> Outcome {
    let (server, bmc) = bmc_job::target(client, &args.namespace, &args.name).await?;
    if let Some(attempt) = server.spec.attempt.as_ref().filter(|attempt| !attempt.closed) {
        let workflows: Api<Workflow> = Api::namespaced(client.clone(), &args.namespace);
        let workflow = workflows.get_opt(&attempt.workflow).await?;
        if let Some(why) = workflow.and_then(|workflow| refusal(&args.name, &workflow)) {
            return Err(Failure::text(why));
        }
    }
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), &args.namespace);
    let hardware = hardware.get(&server.spec.hardware).await?;
    let action = action(args.once, &hardware).map_err(Failure::text)?;
    let verb = format!("boot-{}", word(args.once.device()));
    let job = bmc_job::job(&verb, &args.name, &bmc, action, Timestamp::now());
    let job = bmc_job::make(client, &job).await?;
    bmc_job::wait(client, &args.namespace, &job, &args.name).await?;
    output::line(format!(
        "{}: boots from {} next; its BMC shows it so",
        args.name,
        word(args.once.device())
    ));
    Ok(())
}

/// Why the boot source is not changed now. The arbiter of the machine's power would make a Job wait for the attempt's end,
/// and the choice would then surprise whoever boots the machine.
fn refusal(server: &str, workflow: &Workflow) -> Option<String> {
    let state = workflow.status.as_ref().and_then(|status| status.state);
    if state.is_some_and(WorkflowState::is_terminal) {
        return None;
    }
    Some(format!(
        "workflow {} is under way on {server} and decides what it boots from; to see how far it is: gantry explain {server}",
        workflow.name_any()
    ))
}

/// The action, for the firmware that the machine boots by.
fn action(source: Source, hardware: &Hardware) -> Result<Action, String> {
    let efi_boot = hardware.boots_by_uefi();
    if source == Source::Http && !efi_boot {
        return Err(format!(
            "{} boots by BIOS, which has no HTTP boot: set dhcp.uefi of an interface of its Hardware if it has UEFI",
            hardware.name_any()
        ));
    }
    Ok(Action {
        boot_device: Some(BootDeviceAction {
            device: source.device(),
            persistent: false,
            efi_boot,
        }),
        ..Action::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn not_while_a_workflow_is_under_way() {
        let workflow = |status: serde_json::Value| -> Workflow {
            serde_json::from_value(
                json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
                "metadata": {"name": "w"}, "spec": {}, "status": status}),
            )
            .unwrap()
        };
        assert_eq!(refusal("n1", &workflow(json!({"state": "SUCCESS"}))), None);
        for status in [json!({"state": "RUNNING"}), json!(null)] {
            let why = refusal("n1", &workflow(status)).unwrap();
            assert!(why.contains("workflow w is under way on n1"), "{why}");
        }
    }

    #[test]
    fn by_the_firmware_of_the_machine() {
        let hardware = |uefi: bool| -> Hardware {
            serde_json::from_value(
                json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
                "metadata": {"name": "n1"}, "spec": {"interfaces": [{"dhcp": {"uefi": uefi}}]}}),
            )
            .unwrap()
        };
        for (source, uefi, expected) in [
            (Source::Pxe, true, Some(json!({"device": "pxe", "efiBoot": true}))),
            (Source::Disk, false, Some(json!({"device": "disk"}))),
            (
                Source::Cd,
                true,
                Some(json!({"device": "cdrom", "efiBoot": true})),
            ),
            (
                Source::Http,
                true,
                Some(json!({"device": "http", "efiBoot": true})),
            ),
            (Source::Http, false, None),
        ] {
            let made = action(source, &hardware(uefi)).ok();
            let made = made.map(|action| serde_json::to_value(action.boot_device).unwrap());
            assert_eq!(made, expected, "{source:?}");
        }
    }
}
