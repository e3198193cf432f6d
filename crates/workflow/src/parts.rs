//! What the appliance gets from this crate.

use crate::action_log::channel;
use crate::context::{Context, ControllerContext, ServiceContext};
use crate::controller::WorkflowController;
use crate::service::WorkflowsService;
use crate::wake::Wake;

/// What the appliance runs and puts behind its agent listener.
#[derive(Debug)]
pub struct Parts {
    /// Run it until cancelled.
    pub controller: WorkflowController,
    /// `gantry.agent.v1.Workflows`; put `agent_protocol::v1::workflows_server::WorkflowsServer::new` around it.
    pub workflows: WorkflowsService,
}

/// Makes the parts. They answer once the controller runs.
#[must_use]
pub fn build(context: Context) -> Parts {
    let (log, log_writer) = channel(context.records);
    let wake = Wake::default();
    let service = ServiceContext {
        client: context.client.clone(),
        leases: context.leases,
        log,
        wake: wake.clone(),
    };
    let controller = ControllerContext {
        client: context.client,
        wake,
    };
    Parts {
        controller: WorkflowController::new(controller, log_writer),
        workflows: WorkflowsService::new(service),
    }
}
