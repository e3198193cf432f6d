//! The objects beside a Server.

use jiff::Timestamp;
use kube::api::Api;
use resources::bmc;
use resources::gantry::Server;
use resources::tinkerbell::{Hardware, Workflow};

use crate::context::Context;
use crate::error::{Error, place};
use crate::states::Snapshot;

/// The objects beside the Server, as they are now.
pub(super) struct Around {
    pub(super) hardware: Option<Hardware>,
    pub(super) workflow: Option<Workflow>,
    pub(super) power: Option<String>,
    /// When its BMC said last that it is off, as long as it says so.
    off_at: Option<Timestamp>,
    /// Its BMC says on, and said off at the last look.
    pub(super) switched_on: bool,
}

impl Around {
    /// What a decision on this server looks at.
    pub(super) fn snapshot<'a>(&'a self, server: &'a Server) -> Snapshot<'a> {
        Snapshot {
            server,
            hardware: self.hardware.as_ref(),
            workflow: self.workflow.as_ref(),
            off_at: self.off_at,
        }
    }
}

/// Reads them.
pub(super) async fn look_around(
    context: &Context,
    namespace: &str,
    server: &Server,
) -> Result<Around, Error> {
    let client = || context.client.0.clone();
    let failed = |kind| {
        let name = place(server);
        move |source| Error::Read { kind, name, source }
    };
    let hardware: Api<Hardware> = Api::namespaced(client(), namespace);
    let hardware = hardware
        .get_opt(&server.spec.hardware)
        .await
        .map_err(failed("Hardware"))?;
    let workflow = match &server.spec.attempt {
        None => None,
        Some(attempt) => {
            let workflows: Api<Workflow> = Api::namespaced(client(), namespace);
            workflows
                .get_opt(&attempt.workflow)
                .await
                .map_err(failed("Workflow"))?
        }
    };
    let bmc = match &server.spec.bmc {
        None => None,
        Some(name) => {
            let machines: Api<bmc::Machine> = Api::namespaced(client(), namespace);
            let machine = machines.get_opt(name).await.map_err(failed("Machine"))?;
            machine.and_then(|machine| machine.status)
        }
    };
    let state = bmc.as_ref().and_then(|status| status.power_state);
    let power = state.map(|state| match state {
        bmc::PowerState::On => "on".to_owned(),
        bmc::PowerState::Off => "off".to_owned(),
        bmc::PowerState::Unknown => "unknown".to_owned(),
    });
    let polled = bmc.and_then(|status| status.last_polled);
    let off_at = polled.filter(|_| state == Some(bmc::PowerState::Off));
    let before = server.status.as_ref().and_then(|status| status.power.as_deref());
    Ok(Around {
        hardware,
        workflow,
        switched_on: (before, power.as_deref()) == (Some("off"), Some("on")),
        power,
        off_at: off_at.map(|polled| polled.0),
    })
}
