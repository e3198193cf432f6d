//! Hardware -> Server, one to one, of the same name. The machine's identity is minted here and never again.

use std::sync::Arc;

use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Client, Resource as _, ResourceExt as _};
use resources::gantry::Server;
use resources::keys;
use serde_json::json;

use super::known::KnownHardware;
use super::marks::Marks;
use crate::error::Error;

/// What Servers are derived with.
pub(super) struct Derivation {
    pub(super) client: Client,
    pub(super) marks: Marks,
}

pub(super) async fn reconcile(
    hardware: Arc<KnownHardware>,
    derivation: Arc<Derivation>,
) -> Result<Action, Error> {
    let Some(namespace) = hardware
        .namespace()
        .filter(|_| hardware.metadata.deletion_timestamp.is_none())
    else {
        return Ok(Action::await_change());
    };
    let name = hardware.name_any();
    let place = || format!("{namespace}/{name}");
    let api: Api<Server> = Api::namespaced(derivation.client.clone(), &namespace);
    let existing = api.get_opt(&name).await;
    let existing = existing.map_err(|source| Error::Read {
        kind: "Server",
        name: place(),
        source,
    })?;
    let bmc = hardware
        .spec
        .bmc_ref
        .as_ref()
        .map(|reference| reference.name.clone());
    if existing
        .as_ref()
        .is_some_and(|server| server.spec.hardware == name && server.spec.bmc == bmc)
    {
        return Ok(Action::await_change());
    }
    let is_new = existing.is_none();
    let machine_id = existing
        .map(|server| server.spec.machine_id)
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut spec = json!({ "machineId": machine_id, "hardware": name });
    if let (Some(bmc), Some(fields)) = (bmc, spec.as_object_mut()) {
        fields.insert("bmc".into(), bmc.into());
    }
    if is_new && let Some(fields) = spec.as_object_mut() {
        let restored = derivation.marks.of(&namespace).await?;
        fields.extend(restored.map(|restored| ("restored".to_owned(), restored)));
    }
    let object = json!({
        "apiVersion": Server::api_version(&()),
        "kind": Server::kind(&()),
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    });
    let params = PatchParams::apply(keys::MANAGER_SERVERS).force();
    api.patch(&name, &params, &Patch::Apply(object))
        .await
        .map_err(|source| Error::Write {
            what: "Server",
            name: place(),
            source,
        })?;
    tracing::info!(machine = %name, "server derived from its hardware");
    Ok(Action::await_change())
}
