//! Reading the snapshot of one ProviderMachine, and what its driver is called with.

use driver::v1::Userdata;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use resources::gantry::{BootstrapMode, ProviderDriver, ProviderMachine, ProviderScope, SecretPlace};
use sha2::{Digest as _, Sha256};

use super::context::Context;
use super::seen::{Asked, OpenScope, Seen};
use crate::drivers::PluginDriver;
use crate::error::Error;
use crate::plugin_state::PluginState;
use crate::request;
use crate::snapshot::{DriverView, ScopeView, Snapshot, UserdataView};
use crate::status;

/// Key of the user data in its Secret.
const VALUE: &str = "value";
/// Bytes of a digest that name a configuration.
const SHORT: usize = 8;

impl Context {
    /// The snapshot, or nothing when the object is gone.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Result<Option<Seen>, Error> {
        let api: Api<ProviderMachine> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await;
        let Some(base) = found.map_err(Error::api("read", "ProviderMachine", name))? else {
            return Ok(None);
        };
        if PluginState::of(base.status.as_ref()).is_none() {
            let status = base.status.unwrap_or_default();
            return Err(Error::State {
                machine: name.to_owned(),
                state: status.driver_state.unwrap_or_default(),
            });
        }
        let driver = self.drivers.get(&base.spec.provider);
        let wanted = base.spec.plugin.as_ref();
        let scope = driver
            .zip(wanted)
            .and_then(|(driver, wanted)| driver.spec.scopes.iter().find(|scope| scope.name == wanted.scope));
        self.wakes
            .note(&base, scope.and_then(|scope| scope.secret.as_ref()));
        let open = match (driver, scope) {
            (Some(driver), Some(scope)) => Some(self.open(driver, scope).await?),
            _ => None,
        };
        let (view, userdata) = self.userdata(namespace, &base).await?;
        let known = driver.map(|driver| {
            driver
                .spec
                .scopes
                .iter()
                .map(|scope| scope.name.clone())
                .collect()
        });
        let unknown = ScopeView::Unknown {
            known: known.unwrap_or_default(),
        };
        let mut snapshot = Snapshot {
            driver: self.driver_view(driver),
            scope: open.as_ref().map_or(unknown, |open| open.view.clone()),
            userdata: view,
            lag: driver.map_or(SignedDuration::ZERO, lag),
            pace: self.pace,
            machine: base.clone(),
        };
        let hash = wanted.map(|wanted| {
            request::spec_hash(wanted, &base.spec.image_url, base.spec.failure_domain.as_deref())
        });
        status::observe(&mut snapshot, hash, Timestamp::now());
        let asked = driver.zip(open).and_then(|(driver, open)| {
            Some(Asked {
                driver: driver.clone(),
                scope: wanted?.scope.clone(),
                version: open.version,
                was_paused: open.was_paused,
                message: open.message?,
                userdata,
            })
        });
        Ok(Some(Seen {
            base,
            snapshot,
            asked,
        }))
    }

    fn driver_view(&self, driver: Option<&PluginDriver>) -> DriverView {
        let Some(driver) = driver else {
            return DriverView::Unknown {
                known: self.drivers.keys().cloned().collect(),
            };
        };
        match driver.supervisor.channel() {
            Ok(_) => DriverView::Ready,
            Err(not_ready) => DriverView::NotReady(not_ready.to_string()),
        }
    }

    /// A scope with its secrets as they are now.
    pub(super) async fn open(
        &self,
        driver: &PluginDriver,
        scope: &ProviderScope,
    ) -> Result<OpenScope, Error> {
        let config = serde_json::to_vec(&scope.config).unwrap_or_default();
        let config: String = hex::encode(Sha256::digest(config))
            .chars()
            .take(2 * SHORT)
            .collect();
        let (secrets, number) = match &scope.secret {
            None => (Vec::new(), 0),
            Some(place) => match self.secret(place).await? {
                None => return Ok(lacking(place)),
                Some(secret) => {
                    let version = secret.metadata.resource_version.unwrap_or_default();
                    let data = secret.data.unwrap_or_default().into_iter();
                    let data = data.map(|(name, value)| (name, value.0)).collect();
                    // Of this API a number that grows with every change.
                    (data, version.parse().unwrap_or_default())
                }
            },
        };
        let version = format!("{number}.{config}");
        let api: Api<ProviderDriver> = Api::all(self.client.clone());
        let object = api.get_opt(&driver.name).await;
        let object = object.map_err(Error::api("read", "ProviderDriver", driver.name.as_str()))?;
        let pause = object
            .and_then(|object| object.status)
            .and_then(|status| status.scope(&scope.name)?.paused.clone());
        let was_paused = pause.is_some();
        let view = match pause.filter(|pause| pause.version == version) {
            None => ScopeView::Open,
            Some(pause) => ScopeView::Paused {
                reason: pause.reason,
                remedy: remedy(scope),
            },
        };
        Ok(OpenScope {
            view,
            was_paused,
            message: Some(request::scope(&scope.name, &scope.config, secrets, number)),
            version,
        })
    }

    async fn secret(&self, place: &SecretPlace) -> Result<Option<Secret>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &place.namespace);
        let found = api.get_opt(&place.name).await;
        found.map_err(Error::api("read", "Secret", place.name.as_str()))
    }

    /// The user data, where the driver has to hand it over.
    async fn userdata(
        &self,
        namespace: &str,
        machine: &ProviderMachine,
    ) -> Result<(UserdataView, Option<Userdata>), Error> {
        let bootstrap = &machine.spec.bootstrap;
        let (BootstrapMode::Push, Some(plugin)) = (bootstrap.mode, &machine.spec.plugin) else {
            return Ok((UserdataView::Ready, None));
        };
        let Some(name) = &bootstrap.secret else {
            let what =
                "spec.bootstrap.secret is missing: the Secret with the user data that the driver hands over";
            return Ok((UserdataView::Missing(what.to_owned()), None));
        };
        let place = SecretPlace {
            namespace: namespace.to_owned(),
            name: name.clone(),
        };
        let secret = self.secret(&place).await?;
        let data = secret.and_then(|secret| secret.data?.remove(VALUE));
        Ok(match data {
            Some(data) => (
                UserdataView::Ready,
                Some(request::userdata(plugin.userdata_format, data.0)),
            ),
            None => {
                let what = format!("waits for key {VALUE} of Secret {name}: the user data of the machine");
                (UserdataView::Missing(what), None)
            }
        })
    }
}

fn lacking(place: &SecretPlace) -> OpenScope {
    let what = format!(
        "there is no Secret {} in {}, which holds the credential of the scope; create it",
        place.name, place.namespace
    );
    OpenScope {
        view: ScopeView::Lacks(what),
        version: String::new(),
        was_paused: false,
        message: None,
    }
}

fn remedy(scope: &ProviderScope) -> String {
    match &scope.secret {
        Some(place) => format!(
            "put the right credential into Secret {} in {}, or annotate it when the provider was wrong",
            place.name, place.namespace
        ),
        None => "change the scope in the file of setting `driversFile`".to_owned(),
    }
}

fn lag(driver: &PluginDriver) -> SignedDuration {
    let status = driver.supervisor.status();
    let limits = status.info.and_then(|info| info.limits);
    SignedDuration::from_secs(limits.map_or(0, |limits| limits.list_lag_seconds).into())
}
