//! What the appliance gets from this crate.

use crate::context::Context;
use crate::controller::ServersController;
use crate::service::SessionsService;

/// What the appliance runs and puts behind its agent listener.
#[derive(Debug)]
pub struct Parts {
    /// Run it until cancelled.
    pub controller: ServersController,
    /// `gantry.agent.v1.Sessions`; put `agent_protocol::v1::sessions_server::SessionsServer::new` around it.
    pub sessions: SessionsService,
    /// `POST /v1/first-boot` and what is below it.
    pub first_boot: axum::Router,
}

/// Makes the parts. They answer once the controller runs.
#[must_use]
pub fn build(context: Context) -> Parts {
    let controller = ServersController::new(context.clone());
    Parts {
        controller,
        sessions: SessionsService::new(context.clone()),
        first_boot: crate::first_boot::router(context),
    }
}
