//! The disks of an action: pinned in the Server before it is handed out.

use agent_protocol::{inventory_disk, v1};
use compare_and_set::Outcome;
use kube::ResourceExt as _;
use kube::api::Api;
use resources::gantry::{InventoryDisk, PinnedDisk, Purpose, Server};
use resources::tinkerbell::{Hardware, Workflow};
use tonic::Status;

use super::access::{environment, failed, full_name};
use super::caller::Present;
use crate::action_log::Entry;
use crate::alarms;
use crate::context::{DISKS, ServiceContext, WRITER};
use crate::engine::{Place, disks, purpose};
use crate::error::Error;

/// Most disks of a machine that are looked at.
const DISKS_SEEN: usize = 256;

/// What there is to say about the disks of an action.
pub(super) enum ActionDisks {
    /// They are pinned.
    Pinned(Vec<v1::PinnedDisk>),
    /// A disk can't be told, for this reason.
    Unclear(String),
    /// Somebody else wrote in between.
    Lost,
}

/// Pins what the action at `place` names, with `seen` as the machine's disks of now.
pub(super) async fn action_disks(
    context: &ServiceContext,
    present: &Present,
    workflow: &Workflow,
    place: Place,
    seen: &[v1::Disk],
) -> Result<ActionDisks, Status> {
    let status = workflow.status.clone().unwrap_or_default();
    let Some((_, row, environment)) = environment(&status, place) else {
        return Ok(ActionDisks::Pinned(Vec::new()));
    };
    let names = match disks::wanted(&environment) {
        Ok(names) if names.is_empty() => return Ok(ActionDisks::Pinned(Vec::new())),
        Ok(names) => names,
        Err(reason) => return Ok(ActionDisks::Unclear(reason)),
    };
    let hardware = hardware(context, present).await?.ok_or_else(|| {
        Status::unavailable(format!("Hardware {} was deleted", present.server.spec.hardware))
    })?;
    let rules = match disks::DiskRules::of(&hardware) {
        Ok(rules) => rules,
        Err(reason) => return Ok(ActionDisks::Unclear(reason)),
    };
    let seen = seen_disks(&present.server, seen);
    if matches!(purpose(&status), Purpose::Wipe | Purpose::Repair) {
        return Ok(written(&names, &present.server.spec.disks, &seen, &rules));
    }
    let attempt = present.attempt;
    let (mut pins, mut notes, mut replaced) = (present.server.spec.disks.clone(), Vec::new(), Vec::new());
    for name in &names {
        match disks::pin(name, &pins, &seen, &rules, attempt) {
            Ok(None) => {}
            Ok(Some(change)) => {
                pins = change.pins;
                notes.push(change.note);
                replaced.extend(change.replaces);
            }
            Err(reason) => return Ok(ActionDisks::Unclear(reason)),
        }
    }
    if !notes.is_empty() {
        let namespace = present.server.namespace().unwrap_or_default();
        let api: Api<Server> = Api::namespaced(context.client.clone(), &namespace);
        let written = WRITER.set(&api, &present.server, &DISKS, &pins).await;
        if matches!(written.map_err(|error| failed(error.into()))?, Outcome::Lost) {
            return Ok(ActionDisks::Lost);
        }
        for text in &replaced {
            alarms::disk_replaced(&context.client, workflow, text).await;
        }
        tracing::info!(machine = present.machine, workflow = full_name(workflow), disks = ?notes, "disks pinned");
        context.log.send(&Entry {
            machine: &present.machine,
            workflow: &full_name(workflow),
            action: &row.name,
            percent: None,
            lines: &notes,
        });
    }
    let of_action = pins.iter().filter(|pin| names.contains(&pin.name));
    Ok(ActionDisks::Pinned(
        of_action.map(|pin| disks::for_agent(pin, &rules)).collect(),
    ))
}

/// The disks of a wipe or a repair: those that earlier attempts have pinned, as they are.
fn written(
    names: &[String],
    pins: &[PinnedDisk],
    seen: &[InventoryDisk],
    rules: &disks::DiskRules,
) -> ActionDisks {
    let found = names.iter().map(|name| {
        let pin = disks::written(name, pins, seen, rules)?;
        Ok(disks::for_agent(pin, rules))
    });
    match found.collect::<Result<_, String>>() {
        Ok(disks) => ActionDisks::Pinned(disks),
        Err(reason) => ActionDisks::Unclear(reason),
    }
}

/// The Hardware of the caller's machine; `None` when it was deleted.
pub(super) async fn hardware(
    context: &ServiceContext,
    present: &Present,
) -> Result<Option<Hardware>, Status> {
    let namespace = present.server.namespace().unwrap_or_default();
    let api: Api<Hardware> = Api::namespaced(context.client.clone(), &namespace);
    let name = present.server.spec.hardware.clone();
    api.get_opt(&name).await.map_err(|source| {
        failed(Error::Read {
            kind: "Hardware",
            name: name.clone(),
            source,
        })
    })
}

/// The disks of now, else those of the claim.
pub(super) fn seen_disks(server: &Server, seen: &[v1::Disk]) -> Vec<InventoryDisk> {
    if !seen.is_empty() {
        return seen.iter().take(DISKS_SEEN).map(inventory_disk).collect();
    }
    let inventory = server
        .status
        .as_ref()
        .and_then(|status| status.inventory.as_ref());
    inventory
        .map(|inventory| inventory.disks.clone())
        .unwrap_or_default()
}
