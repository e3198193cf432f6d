//! What the author of a driver writes.

use tokio::sync::mpsc;
use tonic::Status;

use crate::fault::Fault;
use crate::v1::{
    CheckItem, CheckScopeRequest, ConsoleChunk, CreateMachineRequest, DeleteGroupRequest,
    DeleteMachineRequest, EnsureGroupRequest, EnsureImageRequest, FieldChange, GetInfoResponse,
    GetMachineRequest, GroupStatus, ImageStatus, ImportMachineRequest, ListMachinesPage, ListMachinesRequest,
    MachineStatus, PlanUpdateRequest, ReadConsoleRequest, Reason, SetPowerRequest, StateKind,
    UpdateMachineRequest, WatchEvent, WatchMachinesRequest,
};

/// JSON Schemas of what only this driver understands; see `GetSchemaResponse`.
#[derive(Debug, Clone)]
pub struct Schemas {
    /// Of `Scope.config`.
    pub scope: serde_json::Value,
    /// Of `Scope.secrets`.
    pub secret: serde_json::Value,
    /// Of `Spec.provider`.
    pub machine: serde_json::Value,
    /// Of `EnsureImageRequest.source`.
    pub image: serde_json::Value,
    /// Of `MachineIdentity.keys`.
    pub identity: serde_json::Value,
    /// Their version.
    pub version: u32,
}

/// A provider's API. Each method is the call of the contract of the same name; what the contract says of the call holds for
/// the method. A call without its capability never reaches the provider, nor does one whose request does not fit the schemas
/// and limits, or is fenced.
#[tonic::async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What the driver is and can do, without `build_id`, `protocol_minor`, `protocol_majors` and `last_error`.
    fn info(&self) -> GetInfoResponse;

    /// What it understands.
    fn schemas(&self) -> Schemas;

    /// See `CheckScope`.
    async fn check_scope(&self, request: CheckScopeRequest) -> Result<Vec<CheckItem>, Fault>;

    /// See `CreateMachine`.
    async fn create_machine(&self, request: CreateMachineRequest) -> Result<MachineStatus, Fault>;

    /// See `GetMachine`.
    async fn get_machine(&self, request: GetMachineRequest) -> Result<MachineStatus, Fault>;

    /// See `ListMachines`. Each page goes to `pages`; the list is complete when this returns `Ok`.
    async fn list_machines(&self, request: ListMachinesRequest, pages: &mut Pages) -> Result<(), Fault>;

    /// See `DeleteMachine`.
    async fn delete_machine(&self, request: DeleteMachineRequest) -> Result<MachineStatus, Fault>;

    /// See `EnsureImage`.
    async fn ensure_image(&self, request: EnsureImageRequest) -> Result<ImageStatus, Fault> {
        drop(request);
        Err(missing("EnsureImage"))
    }

    /// See `EnsureGroup`.
    async fn ensure_group(&self, request: EnsureGroupRequest) -> Result<GroupStatus, Fault> {
        drop(request);
        Err(missing("EnsureGroup"))
    }

    /// See `DeleteGroup`.
    async fn delete_group(&self, request: DeleteGroupRequest) -> Result<GroupStatus, Fault> {
        drop(request);
        Err(missing("DeleteGroup"))
    }

    /// See `SetPower`.
    async fn set_power(&self, request: SetPowerRequest) -> Result<MachineStatus, Fault> {
        drop(request);
        Err(missing("SetPower"))
    }

    /// See `PlanUpdate`.
    fn plan_update(&self, request: &PlanUpdateRequest) -> Result<Vec<FieldChange>, Fault> {
        let _ = request;
        Err(missing("PlanUpdate"))
    }

    /// See `UpdateMachine`.
    async fn update_machine(&self, request: UpdateMachineRequest) -> Result<MachineStatus, Fault> {
        drop(request);
        Err(missing("UpdateMachine"))
    }

    /// See `ImportMachine`.
    async fn import_machine(&self, request: ImportMachineRequest) -> Result<MachineStatus, Fault> {
        drop(request);
        Err(missing("ImportMachine"))
    }

    /// See `ReadConsole`. Returns when there is no more, or when nobody reads any more.
    async fn read_console(
        &self,
        request: ReadConsoleRequest,
        console: mpsc::Sender<Result<ConsoleChunk, Status>>,
    ) -> Result<(), Fault> {
        drop((request, console));
        Err(missing("ReadConsole"))
    }

    /// See `WatchMachines`. Returns when nobody reads any more.
    async fn watch_machines(
        &self,
        request: WatchMachinesRequest,
        events: mpsc::Sender<Result<WatchEvent, Status>>,
    ) -> Result<(), Fault> {
        drop((request, events));
        Err(missing("WatchMachines"))
    }

    /// See `UpgradeState`. Called with versions older than the present one only.
    fn upgrade_state(&self, kind: StateKind, version: u32, state: Vec<u8>) -> Result<Vec<u8>, Fault> {
        drop(state);
        Err(Fault::new(
            Reason::StateVersion,
            format!("version {version} of {} is unknown", kind.as_str_name()),
        )
        .without_effect())
    }

    /// Closes every session at the provider. No call follows.
    async fn close(&self) {}
}

/// A capability that the driver claims without the method that belongs to it.
fn missing(call: &str) -> Fault {
    Fault::new(
        Reason::Bug,
        format!("the driver claims the capability of {call} and does not have the call"),
    )
    .without_effect()
}

/// Where pages of a list go.
#[derive(Debug)]
pub struct Pages {
    pub(super) sender: mpsc::Sender<Result<ListMachinesPage, Status>>,
}

impl Pages {
    /// Hands on one page.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn send(&mut self, machines: Vec<MachineStatus>) -> Result<(), Fault> {
        let page = ListMachinesPage {
            machines,
            list_complete: false,
        };
        self.sender
            .send(Ok(page))
            .await
            .map_err(|_| Fault::new(Reason::Busy, "the caller has ended the call").without_effect())
    }
}
