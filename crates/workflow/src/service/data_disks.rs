//! The data disks of a machine: recorded in the Server before the first action of an attempt is handed out, compared before
//! every later one.

use agent_protocol::v1;
use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use resources::Time;
use resources::gantry::{DataDisk, Server};
use resources::tinkerbell::{Workflow, WorkflowCondition, WorkflowStatus};
use tonic::Status;

use super::access::failed;
use super::caller::Present;
use super::disks::{hardware, seen_disks};
use crate::context::{DATA_DISKS, ServiceContext, WRITER};
use crate::engine::data_disks::{Seen, compare};
use crate::engine::purpose;

/// Type of the condition of a Workflow that says whether the data disks are what they were.
const CONDITION: &str = "DataDisksKept";

/// What there is to say of the data disks before the next action.
pub(super) enum DataDisks {
    /// Nothing stands in the way; with the condition that the Workflow gets, where the machine has any.
    Fine(Option<Finding>),
    /// The action is not handed out.
    Stopped(Finding),
    /// They have just been recorded, or somebody else wrote in between: look again.
    Again,
}

/// What the condition says.
pub(super) struct Finding {
    status: &'static str,
    /// One word, also of the Event.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Records and compares, with `seen` as the machine's disks of now.
pub(super) async fn data_disks(
    context: &ServiceContext,
    present: &Present,
    workflow: &Workflow,
    seen: &[v1::Disk],
) -> Result<DataDisks, Status> {
    let purpose = purpose(&workflow.status.clone().unwrap_or_default());
    let Some(hardware) = hardware(context, present).await? else {
        return Ok(DataDisks::Fine(None));
    };
    let listed = match DataDisk::of(&hardware) {
        Ok(listed) => listed,
        Err(reason) => return Ok(DataDisks::Stopped(unclear(reason))),
    };
    let records = &present.server.spec.data_disks;
    let disks = seen_disks(&present.server, seen);
    match compare(&listed, records, &disks, present.attempt, purpose) {
        Seen::NoneListed => Ok(DataDisks::Fine(None)),
        Seen::Kept(message) => Ok(DataDisks::Fine(Some(Finding {
            status: "True",
            reason: "Unchanged",
            message,
        }))),
        Seen::Unclear(reason) => Ok(DataDisks::Stopped(unclear(reason))),
        Seen::Changed(message) => Ok(DataDisks::Stopped(Finding {
            status: "False",
            reason: "DataDiskChanged",
            message,
        })),
        Seen::New(records) => {
            let namespace = present.server.namespace().unwrap_or_default();
            let api: Api<Server> = Api::namespaced(context.client.clone(), &namespace);
            let written = WRITER
                .set(&api, &present.server, &DATA_DISKS, &records)
                .await
                .map_err(|error| failed(error.into()))?;
            match written {
                Outcome::Written(_) | Outcome::Unchanged | Outcome::Lost => Ok(DataDisks::Again),
            }
        }
    }
}

fn unclear(message: String) -> Finding {
    Finding {
        status: "Unknown",
        reason: "DataDiskUnclear",
        message,
    }
}

impl Finding {
    /// Writes the condition into a status that is about to be committed.
    pub(super) fn note(&self, status: &mut WorkflowStatus, now: Timestamp) {
        let condition = WorkflowCondition {
            kind: CONDITION.to_owned(),
            status: self.status.to_owned(),
            reason: Some(self.reason.to_owned()),
            message: Some(self.message.clone()),
            time: Some(Time(now)),
        };
        let known = status.conditions.iter_mut().find(|known| known.kind == CONDITION);
        match known {
            None => status.conditions.push(condition),
            Some(known) => {
                let same = (&known.status, &known.reason, &known.message)
                    == (&condition.status, &condition.reason, &condition.message);
                if !same {
                    *known = condition;
                }
            }
        }
    }
}
