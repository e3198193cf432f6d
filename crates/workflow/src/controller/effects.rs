//! Effects of a state on Hardware and Server. Each may be repeated: it says what is to be.

use compare_and_set::{Change, Outcome};
use jiff::Timestamp;
use kube::api::Api;
use resources::gantry::{Attempt, Server};
use resources::tinkerbell::{ActionState, AllowNetbootStatus, Hardware, WorkflowCondition};
use resources::{Time, keys};
use serde_json::json;

use super::Shared;
use super::reconcile::{After, Surroundings};
use crate::engine::{current, end};
use crate::error::Error;
use crate::parts::{ATTEMPT, WRITER};

/// Sets allowPXE of every NIC, as Tinkerbell does, and notes that it was done.
pub(super) async fn allow_netboot(
    shared: &Shared,
    around: &Surroundings,
    allow: bool,
) -> Result<After, Error> {
    if let Some(hardware) = &around.hardware {
        let api: Api<Hardware> = Api::namespaced(shared.client.clone(), &around.namespace);
        match WRITER.change(&api, hardware, toggles(hardware, allow)).await? {
            Outcome::Lost => return Ok(After::Decide),
            Outcome::Written(_) => {
                tracing::info!(
                    machine = around.machine(),
                    allow,
                    manager = keys::MANAGER_WORKFLOW,
                    "allowPXE set"
                );
            }
            Outcome::Unchanged => {}
        }
    }
    let now = Timestamp::now();
    around
        .keep(|status| {
            let options = status.boot_options.get_or_insert_default();
            let netboot = options
                .allow_netboot
                .get_or_insert_with(AllowNetbootStatus::default);
            if allow {
                netboot.toggled_true = true;
            } else {
                netboot.toggled_false = true;
            }
            status.conditions.push(WorkflowCondition {
                kind: if allow {
                    "AllowNetbootTrue"
                } else {
                    "AllowNetbootFalse"
                }
                .into(),
                status: "True".into(),
                reason: Some("Complete".into()),
                message: Some(format!("allowPXE of every interface is {allow}")),
                time: Some(Time(now)),
            });
        })
        .await?;
    Ok(After::Decide)
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

/// Changes this Workflow's attempt on the Server by compare-and-set.
pub(super) async fn change_attempt(
    shared: &Shared,
    around: &Surroundings,
    change: impl FnOnce(&mut Attempt),
) -> Result<After, Error> {
    let Some(server) = &around.server else {
        return Ok(After::Decide);
    };
    let Some(mut attempt) = server
        .spec
        .attempt
        .clone()
        .filter(|attempt| attempt.workflow == around.name)
    else {
        return Ok(After::Decide);
    };
    change(&mut attempt);
    let api: Api<Server> = Api::namespaced(shared.client.clone(), &around.namespace);
    // Lost or not, it is decided again.
    WRITER.set(&api, server, &ATTEMPT, &attempt).await.map(drop)?;
    Ok(After::Decide)
}

/// Ends the action at hand with success.
pub(super) async fn finish_action(
    around: &Surroundings,
    message: String,
    now: Timestamp,
) -> Result<After, Error> {
    tracing::info!(
        machine = around.machine(),
        workflow = around.name,
        message,
        "action taken as done"
    );
    around
        .keep(|status| {
            if let Some((place, _, _)) = current(status) {
                end(status, place, ActionState::Success, message, now);
            }
        })
        .await?;
    Ok(After::Decide)
}
