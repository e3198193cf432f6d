//! Effects of a state on Hardware and Server. Each may be repeated: it says what is to be.

use compare_and_set::{Change, Outcome};
use jiff::Timestamp;
use kube::api::Api;
use resources::gantry::{Attempt, Server};
use resources::tinkerbell::{AllowNetbootStatus, Hardware, WorkflowCondition};
use resources::{Time, keys};
use serde_json::json;

use super::seen::Seen;
use crate::context::{ATTEMPT, ControllerContext, WRITER};
use crate::error::Error;

/// Sets allowPXE of every NIC, as Tinkerbell does, and notes that it was done. Lost to another writer, it is decided
/// again.
pub(super) async fn allow_netboot(
    context: &ControllerContext,
    seen: &mut Seen,
    allow: bool,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(hardware) = &seen.hardware {
        let api: Api<Hardware> = Api::namespaced(context.client.clone(), &seen.namespace);
        match WRITER.change(&api, hardware, toggles(hardware, allow)).await? {
            Outcome::Lost => return Ok(()),
            Outcome::Written(_) => {
                tracing::info!(
                    machine = seen.machine(),
                    allow,
                    manager = keys::MANAGER_WORKFLOW,
                    "allowPXE set"
                );
            }
            Outcome::Unchanged => {}
        }
    }
    let status = seen.status();
    let options = status.boot_options.get_or_insert_default();
    let netboot = options
        .allow_netboot
        .get_or_insert_with(AllowNetbootStatus::default);
    let kind = if allow {
        netboot.toggled_true = true;
        "AllowNetbootTrue"
    } else {
        netboot.toggled_false = true;
        "AllowNetbootFalse"
    };
    status.conditions.push(WorkflowCondition {
        kind: kind.into(),
        status: "True".into(),
        reason: Some("Complete".into()),
        message: Some(format!("allowPXE of every interface is {allow}")),
        time: Some(Time(now)),
    });
    Ok(())
}

fn toggles(hardware: &Hardware, allow: bool) -> Vec<Change> {
    let interfaces = hardware.spec.interfaces.iter().enumerate();
    let changes = interfaces.filter_map(|(at, interface)| {
        let at = at.to_string();
        let netboot = ["spec", "interfaces", &at, "netboot"];
        match &interface.netboot {
            Some(options) if options.allow_pxe == Some(allow) => None,
            Some(_) => Some(Change::set(&[&netboot[..], &["allowPXE"]].concat(), json!(allow))),
            None => Some(Change::set(&netboot, json!({ "allowPXE": allow }))),
        }
    });
    changes.collect()
}

/// Changes this Workflow's attempt on the Server by compare-and-set. Lost or not, it is decided again.
pub(super) async fn change_attempt(
    context: &ControllerContext,
    seen: &Seen,
    change: impl FnOnce(&mut Attempt),
) -> Result<(), Error> {
    let Some(server) = &seen.server else {
        return Ok(());
    };
    let own = server.spec.attempt.clone();
    let Some(mut attempt) = own.filter(|attempt| attempt.workflow == seen.name) else {
        return Ok(());
    };
    change(&mut attempt);
    let api: Api<Server> = Api::namespaced(context.client.clone(), &seen.namespace);
    Ok(WRITER.set(&api, server, &ATTEMPT, &attempt).await.map(drop)?)
}
