//! What of power becomes an Event: on the object that failed and on the Hardware of its machine.

use kube::{Client, Resource, ResourceExt as _};
use resources::bmc::{Job, Machine};
use resources::keys::MANAGER_POWER;
use telemetry::Events;

use crate::server;

/// A Job failed: the machine is not in the power state that was asked for.
pub(crate) async fn job_failed(client: &Client, job: &Job, why: &str) {
    let bmc = &job.spec.machine_ref;
    let text = format!("Job {}: {why}", job.name_any());
    raise(client, job, (&bmc.namespace, &bmc.name), "PowerFailed", &text).await;
}

/// A BMC does not answer, or refuses us.
pub(crate) async fn bmc_unreachable(client: &Client, machine: &Machine, why: &str) {
    let (namespace, name) = (machine.namespace().unwrap_or_default(), machine.name_any());
    let text = format!("BMC {name}: {why}");
    raise(client, machine, (&namespace, &name), "BmcUnreachable", &text).await;
}

async fn raise<K>(client: &Client, object: &K, (namespace, bmc): (&str, &str), reason: &str, text: &str)
where
    K: Resource<DynamicType = ()>,
{
    let server = match server::of_bmc(client, namespace, bmc).await {
        Ok(server) => server,
        Err(error) => {
            tracing::warn!(bmc, error = %causes::line(&error), "the machine of a BMC is not known");
            None
        }
    };
    let hardware = server.map(|server| server.spec.hardware).unwrap_or_default();
    Events::new(client.clone(), MANAGER_POWER)
        .warn_of_machine(object, &hardware, reason, text)
        .await;
}
