//! Service `Plugin` on a [`Provider`].

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::admission::Admission;
use super::events::Events;
use super::last_error::LastError;
use super::provider::Provider;
use crate::fault::Fault;
use crate::handshake::common_minor;
use crate::v1::plugin_server::Plugin;
use crate::v1::{
    DrainRequest, DrainResponse, Event, GetInfoRequest, GetInfoResponse, GetSchemaRequest, GetSchemaResponse,
    Reason, StreamEventsRequest, UpgradeStateRequest, UpgradeStateResponse,
};

/// How long sessions may take to be closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The service.
#[derive(Debug)]
pub(super) struct PluginService<P> {
    pub(super) provider: Arc<P>,
    pub(super) admission: Arc<Admission>,
    pub(super) info: GetInfoResponse,
    pub(super) events: Events,
    pub(super) last_error: LastError,
    pub(super) health: HealthReporter,
    /// Ends streams that have no end of their own.
    pub(super) ending: CancellationToken,
}

#[tonic::async_trait]
impl<P: Provider> Plugin for PluginService<P> {
    type StreamEventsStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

    async fn get_info(&self, request: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        let offered = request.into_inner().protocol_minors;
        let minor = common_minor(&offered).ok_or_else(|| {
            Fault::invalid(
                "/protocol_minors",
                format!("this driver speaks none of the minor versions {offered:?}"),
            )
        })?;
        Ok(Response::new(GetInfoResponse {
            protocol_minor: minor,
            last_error: self.last_error.get(),
            ..self.info.clone()
        }))
    }

    async fn get_schema(&self, _: Request<GetSchemaRequest>) -> Result<Response<GetSchemaResponse>, Status> {
        let schemas = self.provider.schemas();
        Ok(Response::new(GetSchemaResponse {
            scope_schema: schemas.scope.to_string(),
            secret_schema: schemas.secret.to_string(),
            machine_schema: schemas.machine.to_string(),
            image_schema: schemas.image.to_string(),
            identity_schema: schemas.identity.to_string(),
            schema_version: schemas.version,
        }))
    }

    async fn stream_events(
        &self,
        _: Request<StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let next = |mut listener: super::events::Listener| async move {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        };
        let events = futures::stream::unfold(self.events.listen(), next);
        let ending = self.ending.clone();
        let events = futures::StreamExt::take_until(events, async move { ending.cancelled().await });
        Ok(Response::new(Box::pin(events)))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        let grace = request.into_inner().grace;
        let grace = grace
            .and_then(|grace| Duration::try_from(grace).ok())
            .unwrap_or_default();
        self.health
            .set_service_status("", ServingStatus::NotServing)
            .await;
        let drained = tokio::time::timeout(grace, self.admission.drain()).await;
        let abandoned = if drained.is_ok() {
            0
        } else {
            self.admission.calls()
        };
        self.ending.cancel();
        // A provider that does not answer must not keep the process.
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.provider.close()).await;
        Ok(Response::new(DrainResponse { abandoned }))
    }

    async fn upgrade_state(
        &self,
        request: Request<UpgradeStateRequest>,
    ) -> Result<Response<UpgradeStateResponse>, Status> {
        let request = request.into_inner();
        let present = self.info.state_version;
        let driver_state = match request.state_version {
            version if version == present => request.driver_state,
            version if (1..present).contains(&version) => {
                self.provider
                    .upgrade_state(request.kind(), version, request.driver_state)?
            }
            version => {
                let message =
                    format!("version {version} is none that this driver knows; its own is {present}");
                return Err(Fault::new(Reason::StateVersion, message).without_effect().into());
            }
        };
        Ok(Response::new(UpgradeStateResponse {
            state_version: present,
            driver_state,
        }))
    }
}
