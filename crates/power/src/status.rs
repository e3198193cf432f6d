//! Writing status, by server-side apply under our own field manager, and only here.

use std::fmt::Debug;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use resources::Time;
use resources::bmc::{BmcCondition, BmcInventory, ConditionKind, Machine, MachineStatus};
use resources::keys::{BMC_INVENTORY, MANAGER_POWER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::Error;
use crate::engine::contact::{self, Said};

/// Applies a status. An object that is gone meanwhile needs none.
pub(crate) async fn apply<K, S>(client: &Client, object: &K, status: &S) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let (namespace, name) = place(object);
    let document = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": { "name": name }, "status": status,
    });
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    match api
        .patch_status(
            &name,
            &PatchParams::apply(MANAGER_POWER).force(),
            &Patch::Apply(document),
        )
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(source) => Err(Error::Write {
            kind: "status of",
            name: format!("{namespace}/{name}"),
            source,
        }),
    }
}

/// Records what a BMC said on its Machine.
pub(crate) async fn observe(
    client: &Client,
    machine: &Machine,
    answer: Result<Said, String>,
) -> Result<MachineStatus, Error> {
    let after = contact::observed(machine.status.as_ref(), answer, Timestamp::now());
    apply(client, machine, &after).await?;
    Ok(after)
}

/// Keeps what a BMC said of its machine's identity on its Machine.
pub(crate) async fn keep_inventory(
    client: &Client,
    machine: &Machine,
    inventory: &BmcInventory,
) -> Result<(), Error> {
    let (namespace, name) = place(machine);
    let failed = |source| Error::Write {
        kind: "inventory of",
        name: format!("{namespace}/{name}"),
        source,
    };
    let text = serde_json::to_string(inventory).map_err(|error| failed(kube::Error::SerdeError(error)))?;
    let document = json!({
        "apiVersion": Machine::api_version(&()), "kind": Machine::kind(&()),
        "metadata": { "name": name, "annotations": { BMC_INVENTORY: text } },
    });
    let api: Api<Machine> = Api::namespaced(client.clone(), &namespace);
    // Only where it still is what was asked: an apply would make a Machine that was deleted meanwhile.
    let params = PatchParams {
        field_manager: Some(MANAGER_POWER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch(&name, &params, &Patch::Merge(document)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

/// The conditions of a Job or Task in one phase: Running, then Completed or Failed.
pub(crate) fn conditions(phase: ConditionKind, message: Option<String>) -> Vec<BmcCondition> {
    let condition = |kind, holds: bool, message| BmcCondition {
        kind,
        status: if holds { "True" } else { "False" }.to_owned(),
        message,
    };
    if phase == ConditionKind::Running {
        return vec![condition(ConditionKind::Running, true, message)];
    }
    vec![
        condition(ConditionKind::Running, false, None),
        condition(phase, true, message),
    ]
}

pub(crate) fn now() -> Time {
    Time(Timestamp::now())
}

/// Namespace and name.
pub(crate) fn place<K: Resource>(object: &K) -> (String, String) {
    let meta = object.meta();
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}
