//! What is tested, and what cases share.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::driven::Driven;
use super::hooks::{Hook, PeerHooks};
use super::order::{Order, uuid};
use super::parameters::Parameters;
use super::proxy::Proxy;
use super::verdict::{Checked, Problem, ensure};
use crate::json;
use crate::supervisor::{DriverConfiguration, DriverLog, DriverProcess, SupervisorSettings};
use crate::v1::{Capability, GetInfoResponse, Owner, Scope};

/// Fence of the leader that cleans up, above all of the cases.
const LAST_FENCE: u64 = 1_000_000;

/// A driver under test.
pub(super) struct Subject {
    pub(super) driver: DriverConfiguration,
    pub(super) settings: SupervisorSettings,
    pub(super) parameters: Parameters,
    pub(super) info: GetInfoResponse,
    pub(super) log: Arc<DriverLog>,
    hooks: Option<Arc<dyn PeerHooks>>,
    installation: String,
    cluster: String,
    /// Machines and strangers that the case at hand has made, or has tried to.
    made: Mutex<Vec<Order>>,
    strangers: Mutex<Vec<String>>,
}

impl Subject {
    pub(super) fn new(
        driver: DriverConfiguration,
        settings: SupervisorSettings,
        parameters: Parameters,
        hooks: Option<Arc<dyn PeerHooks>>,
        (info, log): (GetInfoResponse, Arc<DriverLog>),
    ) -> Self {
        Self {
            driver,
            settings,
            parameters,
            info,
            log,
            hooks,
            installation: uuid(),
            cluster: uuid(),
            made: Mutex::default(),
            strangers: Mutex::default(),
        }
    }

    /// A process of its own.
    pub(super) async fn start(&self) -> Result<Driven, Problem> {
        match DriverProcess::start(&self.driver, &self.settings, &self.log).await {
            Ok(process) => Ok(Driven { process }),
            Err(error) => Err(causes::line(&error).into()),
        }
    }

    /// Another machine.
    pub(super) fn order(&self) -> Order {
        self.order_in(self.parameters.scope())
    }

    /// Another machine, in a scope.
    pub(super) fn order_in(&self, scope: Scope) -> Order {
        let order = Order::new(scope, self.parameters.spec(), &self.installation, &self.cluster);
        self.note(&order);
        order
    }

    /// A machine that the case makes otherwise.
    pub(super) fn note(&self, order: &Order) {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(order.clone());
    }

    /// Whose all machines are.
    pub(super) fn owner(&self) -> Owner {
        Owner {
            installation_id: self.installation.clone(),
            cluster_uid: self.cluster.clone(),
            fence: 1,
            ..Owner::default()
        }
    }

    /// Carries out a hook.
    pub(super) async fn hook(&self, hook: Hook<'_>) -> Result<String, Problem> {
        let missing = || Problem::NotRun(format!("the peer has no hook {}", hook.arguments().0));
        let hooks = self.hooks.as_ref().ok_or_else(missing)?;
        if let Hook::CreateForeign(name) = hook {
            let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
            strangers.push(name.to_owned());
        }
        hooks.call(hook).await?.ok_or_else(missing)
    }

    /// Carries out a hook that answers with a number.
    pub(super) async fn count(&self, hook: Hook<'_>) -> Result<u64, Problem> {
        let answer = self.hook(hook).await?;
        let number = answer.parse();
        number.map_err(|_| {
            format!(
                "hook {} answers {answer:?}, which is no number",
                hook.arguments().0
            )
            .into()
        })
    }

    /// There are as many objects at the provider as before; where they can't be counted there is nothing to be said.
    pub(super) async fn none_are_left(&self, before: Option<u64>) -> Checked {
        if let Some(before) = before {
            let after = self.count(Hook::CountObjects).await?;
            ensure!(
                before == after,
                "there were {before} objects before, and {after} are left"
            );
        }
        Ok(())
    }

    /// Not run without the capability.
    pub(super) fn require(&self, capability: Capability) -> Checked {
        if self.info.capabilities.contains(&capability.into()) {
            return Ok(());
        }
        let text = format!("the driver does not claim {}", capability.as_str_name());
        Err(Problem::NotRun(text))
    }

    /// A proxy in front of the provider, and a scope that leads to it.
    pub(super) async fn proxied(&self) -> Result<(Proxy, Scope), Problem> {
        let no_url = || Problem::NotRun("the parameters have no urlField: requests can't be lost".to_owned());
        let field = self.parameters.url_field.as_ref().ok_or_else(no_url)?;
        let url = self
            .parameters
            .config
            .get(field)
            .and_then(Value::as_str)
            .ok_or_else(no_url)?;
        let proxy = Proxy::start(url, &self.settings.runtime_dir)
            .await
            .map_err(Problem::NotRun)?;
        let mut config = self.parameters.config.clone();
        config.insert(field.clone(), proxy.url().into());
        let scope = Scope {
            config: Some(json::to_struct(&config)),
            ..self.parameters.scope()
        };
        Ok((proxy, scope))
    }

    /// Leaves nothing of the case at hand. What can't be removed is told: it would disturb the next cases.
    pub(super) async fn clean_up(&self) -> Result<(), String> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let strangers = std::mem::take(&mut *self.strangers.lock().unwrap_or_else(PoisonError::into_inner));
        let told = |problem: Problem| match problem {
            Problem::Failed(text) | Problem::NotRun(text) => text,
        };
        for name in &strangers {
            self.hook(Hook::Remove(name)).await.map_err(told)?;
        }
        if made.is_empty() {
            return Ok(());
        }
        let driven = self.start().await.map_err(told)?;
        for mut order in made {
            order.scope = self.parameters.scope();
            order.forget();
            order.owner.fence = LAST_FENCE;
            // By the driver, as a core would do it; a driver that leaves objects is found out by cases of its own.
            driven.delete(&mut order).await.map_err(told)?;
            let _ = self.hook(Hook::Remove(order.name())).await;
        }
        driven.process.stop(&self.settings).await;
        Ok(())
    }
}
