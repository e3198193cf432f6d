//! Service `Machines` on a [`Provider`].

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::admission::Admission;
use super::last_error::LastError;
use super::provider::{Pages, Provider};
use crate::fault::Fault;
use crate::v1::machines_server::Machines;
use crate::v1::{
    Capability, CheckItem, CheckScopeRequest, ConsoleChunk, CreateMachineRequest, DeleteGroupRequest,
    DeleteMachineRequest, EnsureGroupRequest, EnsureImageRequest, GetMachineRequest, GroupStatus,
    ImageStatus, ImportMachineRequest, ListMachinesPage, ListMachinesRequest, MachineStatus, Outcome,
    PlanUpdateRequest, PlanUpdateResponse, ReadConsoleRequest, Reason, SetPowerRequest, Settled,
    UpdateMachineRequest, WatchEvent, WatchMachinesRequest, outcome,
};

/// Longest time for a call, as the contract has it.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Answers of a stream that are made ahead of their reader.
const AHEAD: usize = 16;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Debug)]
pub(super) struct MachinesService<P> {
    provider: Arc<P>,
    admission: Arc<Admission>,
    last_error: LastError,
    state_version: u32,
    /// Ends streams that have no end of their own.
    ending: CancellationToken,
}

impl<P> Clone for MachinesService<P> {
    fn clone(&self) -> Self {
        Self {
            provider: self.provider.clone(),
            admission: self.admission.clone(),
            last_error: self.last_error.clone(),
            state_version: self.state_version,
            ending: self.ending.clone(),
        }
    }
}

impl<P: Provider> MachinesService<P> {
    pub(super) fn new(
        provider: Arc<P>,
        admission: Arc<Admission>,
        last_error: LastError,
        ending: CancellationToken,
    ) -> Self {
        Self {
            state_version: provider.info().state_version,
            provider,
            admission,
            last_error,
            ending,
        }
    }

    /// Carries out a call: counted, limited in time, and a panic ends it alone.
    async fn call<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<Response<T>, Status> {
        let _under_way = self.admission.begin()?;
        match timeout(CALL_LIMIT, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(done)) => Ok(Response::new(done?)),
            Ok(Err(_)) => {
                self.last_error
                    .set("a call has panicked; the log has its message");
                Err(Fault::new(Reason::Bug, "the driver has panicked in this call").into())
            }
            Err(_) => {
                let mut fault = Fault::new(
                    Reason::TaskFailed,
                    format!("the provider has not answered in {} s", CALL_LIMIT.as_secs()),
                );
                fault.code = Code::DeadlineExceeded;
                Err(fault.into())
            }
        }
    }

    /// State that this release can read.
    fn state(&self, state: &[u8], version: u32) -> Result<(), Fault> {
        if state.is_empty() || version == self.state_version {
            return Ok(());
        }
        let message = format!(
            "the state has version {version} and this driver's is {}: UpgradeState first",
            self.state_version
        );
        Err(Fault::new(Reason::StateVersion, message).without_effect())
    }

    fn stamped(&self, mut status: MachineStatus) -> MachineStatus {
        status.state_version = self.state_version;
        status
    }

    /// A stream that lives until its reader goes or the driver ends.
    fn endless<T, F>(
        &self,
        work: impl FnOnce(Arc<P>, mpsc::Sender<Result<T, Status>>) -> F,
    ) -> Response<Answers<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (failed, gone) = (sender.clone(), sender.clone());
        let work = work(self.provider.clone(), sender);
        let ending = self.ending.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = gone.closed() => {}
                done = work => if let Err(fault) = done {
                    // The reader may have gone.
                    let _ = failed.send(Err(fault.into())).await;
                },
            }
        });
        Response::new(Box::pin(ReceiverStream::new(receiver)))
    }
}

/// State of an image or a group, whose message names its version too.
macro_rules! stamp {
    ($service:expr, $status:expr) => {{
        let mut status = $status;
        status.state_version = $service.state_version;
        status
    }};
}

#[tonic::async_trait]
impl<P: Provider> Machines for MachinesService<P> {
    type CheckScopeStream = Answers<CheckItem>;
    type ListMachinesStream = Answers<ListMachinesPage>;
    type WatchMachinesStream = Answers<WatchEvent>;
    type ReadConsoleStream = Answers<ConsoleChunk>;

    async fn check_scope(
        &self,
        request: Request<CheckScopeRequest>,
    ) -> Result<Response<Answers<CheckItem>>, Status> {
        let request = request.into_inner();
        let items = self.call(async {
            self.admission.scope(request.scope.as_ref())?;
            for (index, spec) in request.specs.iter().enumerate() {
                self.admission.spec(&format!("/specs/{index}"), Some(spec))?;
            }
            self.provider.check_scope(request).await
        });
        let items = items.await?.into_inner();
        Ok(Response::new(Box::pin(futures::stream::iter(items).map(Ok))))
    }

    async fn ensure_image(
        &self,
        request: Request<EnsureImageRequest>,
    ) -> Result<Response<ImageStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.require(Capability::ImageImport, "EnsureImage")?;
            self.admission.scope(request.scope.as_ref())?;
            self.admission.schemas().image(request.source.as_ref())?;
            self.state(&request.driver_state, request.state_version)?;
            Ok(stamp!(self, self.provider.ensure_image(request).await?))
        })
        .await
    }

    async fn ensure_group(
        &self,
        request: Request<EnsureGroupRequest>,
    ) -> Result<Response<GroupStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.require(Capability::Groups, "EnsureGroup")?;
            self.admission.scope(request.scope.as_ref())?;
            self.state(&request.driver_state, request.state_version)?;
            self.admission.fenced(request.owner.as_ref(), false)?;
            Ok(stamp!(self, self.provider.ensure_group(request).await?))
        })
        .await
    }

    async fn delete_group(
        &self,
        request: Request<DeleteGroupRequest>,
    ) -> Result<Response<GroupStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.require(Capability::Groups, "DeleteGroup")?;
            self.admission.scope(request.scope.as_ref())?;
            self.state(&request.driver_state, request.state_version)?;
            self.admission.fenced(request.owner.as_ref(), false)?;
            Ok(stamp!(self, self.provider.delete_group(request).await?))
        })
        .await
    }

    async fn create_machine(
        &self,
        request: Request<CreateMachineRequest>,
    ) -> Result<Response<MachineStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.scope(request.scope.as_ref())?;
            self.admission.name(request.owner.as_ref())?;
            self.admission.spec("/spec", request.spec.as_ref())?;
            if request.spec_hash.is_empty() {
                return Err(Fault::invalid("/spec_hash", "spec_hash is empty"));
            }
            self.state(&request.driver_state, request.state_version)?;
            self.admission.fenced(request.owner.as_ref(), true)?;
            Ok(self.stamped(self.provider.create_machine(request).await?))
        })
        .await
    }

    async fn get_machine(
        &self,
        request: Request<GetMachineRequest>,
    ) -> Result<Response<MachineStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.scope(request.scope.as_ref())?;
            self.admission.owner(request.owner.as_ref(), true)?;
            self.state(&request.driver_state, request.state_version)?;
            let mut status = self.stamped(self.provider.get_machine(request).await?);
            status.outcome = Some(settled());
            Ok(status)
        })
        .await
    }

    async fn list_machines(
        &self,
        request: Request<ListMachinesRequest>,
    ) -> Result<Response<Answers<ListMachinesPage>>, Status> {
        let request = request.into_inner();
        let (sender, receiver) = mpsc::channel(AHEAD);
        let service = self.clone();
        tokio::spawn(async move {
            let mut pages = Pages {
                sender: sender.clone(),
            };
            let listed = service.call(async {
                service.admission.scope(request.scope.as_ref())?;
                service.admission.owner(request.owner.as_ref(), false)?;
                service.provider.list_machines(request, &mut pages).await
            });
            let last = listed.await.map(|_| ListMachinesPage {
                machines: Vec::new(),
                list_complete: true,
            });
            // The reader may have gone.
            let _ = sender.send(last).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn set_power(&self, request: Request<SetPowerRequest>) -> Result<Response<MachineStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.require(Capability::PowerControl, "SetPower")?;
            self.admission.scope(request.scope.as_ref())?;
            self.state(&request.driver_state, request.state_version)?;
            self.admission.fenced(request.owner.as_ref(), true)?;
            Ok(self.stamped(self.provider.set_power(request).await?))
        })
        .await
    }

    async fn delete_machine(
        &self,
        request: Request<DeleteMachineRequest>,
    ) -> Result<Response<MachineStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.scope(request.scope.as_ref())?;
            self.state(&request.driver_state, request.state_version)?;
            self.admission.fenced(request.owner.as_ref(), true)?;
            Ok(self.stamped(self.provider.delete_machine(request).await?))
        })
        .await
    }

    async fn plan_update(
        &self,
        request: Request<PlanUpdateRequest>,
    ) -> Result<Response<PlanUpdateResponse>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.require(Capability::UpdateInPlace, "PlanUpdate")?;
            self.admission.spec("/present", request.present.as_ref())?;
            self.admission.spec("/wanted", request.wanted.as_ref())?;
            let changes = self.provider.plan_update(&request)?;
            Ok(PlanUpdateResponse { changes })
        })
        .await
    }

    async fn update_machine(
        &self,
        request: Request<UpdateMachineRequest>,
    ) -> Result<Response<MachineStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission
                .require(Capability::UpdateInPlace, "UpdateMachine")?;
            self.admission.scope(request.scope.as_ref())?;
            self.admission.spec("/spec", request.spec.as_ref())?;
            self.state(&request.driver_state, request.state_version)?;
            self.admission.fenced(request.owner.as_ref(), true)?;
            Ok(self.stamped(self.provider.update_machine(request).await?))
        })
        .await
    }

    async fn import_machine(
        &self,
        request: Request<ImportMachineRequest>,
    ) -> Result<Response<MachineStatus>, Status> {
        let request = request.into_inner();
        self.call(async {
            self.admission.require(Capability::Import, "ImportMachine")?;
            self.admission.scope(request.scope.as_ref())?;
            self.admission.fenced(request.owner.as_ref(), true)?;
            Ok(self.stamped(self.provider.import_machine(request).await?))
        })
        .await
    }

    async fn watch_machines(
        &self,
        request: Request<WatchMachinesRequest>,
    ) -> Result<Response<Answers<WatchEvent>>, Status> {
        let request = request.into_inner();
        drop(self.admission.begin()?);
        self.admission.require(Capability::Watch, "WatchMachines")?;
        self.admission.scope(request.scope.as_ref())?;
        self.admission.owner(request.owner.as_ref(), false)?;
        Ok(self.endless(|provider, events| async move { provider.watch_machines(request, events).await }))
    }

    async fn read_console(
        &self,
        request: Request<ReadConsoleRequest>,
    ) -> Result<Response<Answers<ConsoleChunk>>, Status> {
        let request = request.into_inner();
        drop(self.admission.begin()?);
        self.admission.require(Capability::Console, "ReadConsole")?;
        self.admission.scope(request.scope.as_ref())?;
        self.admission.owner(request.owner.as_ref(), true)?;
        Ok(self.endless(|provider, console| async move { provider.read_console(request, console).await }))
    }
}

const fn settled() -> Outcome {
    Outcome {
        outcome: Some(outcome::Outcome::Settled(Settled {})),
    }
}
