//! The ProviderDriver objects: made from the configuration, changed by compare-and-set.

use compare_and_set::Outcome;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use resources::gantry::{ProviderDriver, ProviderDriverStatus, ScopePause};
use resources::{Time, keys};

use super::context::WRITER;
use crate::drivers::PluginDriver;
use crate::error::Error;

/// Tries against others who write the same status.
const TRIES: u32 = 10;
const KIND: &str = "ProviderDriver";

fn api(client: &Client) -> Api<ProviderDriver> {
    Api::all(client.clone())
}

/// Id of this installation, which marks all that it has made: the one of namespace `default`, which is never deleted, and comes
/// back as it was from a backup.
pub(super) async fn installation(client: &Client) -> Result<String, Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = api.get("default").await;
    let namespace = namespace.map_err(Error::api("read", "Namespace", "default"))?;
    namespace.uid().ok_or(Error::Installation)
}

/// Removes the objects of drivers that the configuration does not name any more.
pub(super) async fn remove_others(client: &Client, drivers: &[PluginDriver]) -> Result<(), Error> {
    let all = api(client).list(&ListParams::default()).await;
    for object in all.map_err(Error::api("list", KIND, ""))? {
        let name = object.name_any();
        if drivers.iter().any(|driver| driver.name == name) {
            continue;
        }
        match api(client).delete(&name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            done => drop(done.map_err(Error::api("delete", KIND, name))?),
        }
    }
    Ok(())
}

/// Writes the spec of a driver, and takes over from whoever worked with it before. Returns the fence of this time.
pub(super) async fn begin(client: &Client, driver: &PluginDriver) -> Result<u64, Error> {
    let mut object = ProviderDriver::new(&driver.name, driver.spec.clone());
    object.metadata.managed_fields = None;
    let params = PatchParams::apply(keys::MANAGER_PLUGIN).force();
    let applied = api(client)
        .patch(&driver.name, &params, &Patch::Apply(&object))
        .await;
    applied.map_err(Error::api("make", KIND, driver.name.as_str()))?;
    let scopes: Vec<&str> = driver
        .spec
        .scopes
        .iter()
        .map(|scope| scope.name.as_str())
        .collect();
    let mut fence = 0;
    change(client, &driver.name, |status| {
        status.fence = status.fence.saturating_add(1);
        fence = status.fence;
        status
            .scopes
            .retain(|scope| scopes.contains(&scope.name.as_str()));
    })
    .await?;
    Ok(fence)
}

/// Notes that a credential was refused, so that nobody tries it again.
pub(super) async fn pause(
    client: &Client,
    driver: &str,
    scope: &str,
    version: &str,
    reason: String,
) -> Result<(), Error> {
    let pause = ScopePause {
        since: Time(Timestamp::now()),
        reason,
        version: version.to_owned(),
    };
    tracing::warn!(driver, scope, reason = pause.reason, "the scope is paused");
    change(client, driver, |status| {
        let known = &mut status.scope_mut(scope).paused;
        // Others who were refused at the same time change nothing.
        if known.as_ref().is_none_or(|known| known.version != version) {
            *known = Some(pause.clone());
        }
    })
    .await
}

/// Notes that a credential is taken.
pub(super) async fn resume(client: &Client, driver: &str, scope: &str) -> Result<(), Error> {
    change(client, driver, |status| status.scope_mut(scope).paused = None).await
}

/// Changes the status of a driver.
pub(super) async fn change(
    client: &Client,
    driver: &str,
    mut change: impl FnMut(&mut ProviderDriverStatus) + Send,
) -> Result<(), Error> {
    for _ in 0..TRIES {
        let object = api(client).get(driver).await;
        let object = object.map_err(Error::api("read", KIND, driver))?;
        let mut status = object.status.clone().unwrap_or_default();
        change(&mut status);
        match WRITER.status(&api(client), &object, &status).await? {
            Outcome::Lost => {}
            Outcome::Unchanged | Outcome::Written(_) => return Ok(()),
        }
    }
    let object = api(client).get(driver).await;
    let object = object.map_err(Error::api("read", KIND, driver))?;
    Err(compare_and_set::Error::busy(&object).into())
}
