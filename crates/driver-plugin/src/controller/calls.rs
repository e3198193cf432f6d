//! Calls to a driver.

use driver::Fault;
use driver::v1::machines_client::MachinesClient;
use driver::v1::plugin_client::PluginClient;
use driver::v1::{
    CheckItem, CheckScopeRequest, CreateMachineRequest, DeleteMachineRequest, GetMachineRequest,
    ListMachinesRequest, MachineStatus, Owner, Reason, Scope, Spec, StateKind, UpgradeStateRequest,
};
use kube::ResourceExt as _;
use resources::gantry::ProviderMachine;
use tonic::transport::Channel;

use super::context::Context;
use super::seen::Asked;
use crate::drivers::PluginDriver;
use crate::request;
use crate::step::Method;

/// State that goes with a call.
struct State {
    bytes: Vec<u8>,
    version: u32,
}

impl Context {
    /// Calls the driver of a machine. What the driver can't be asked for is a fault as the driver's own are.
    pub(super) async fn call(
        &self,
        method: Method,
        machine: &ProviderMachine,
        asked: &Asked,
    ) -> Result<MachineStatus, Fault> {
        let channel = channel(&asked.driver)?;
        let state = state(&asked.driver, machine, &channel).await?;
        let owner = self
            .caller(&asked.driver.name)
            .owner(&machine.spec, &machine.name_any());
        let status = machine.status.clone().unwrap_or_default();
        let identity = request::identity(&status);
        let mut scope = asked.message.clone();
        let mut specs = [spec(machine, asked)];
        self.schemas
            .fill(&asked.driver, &channel, &mut scope, &mut specs)
            .await?;
        let [spec] = specs;
        let scope = Some(scope);
        let mut client = MachinesClient::new(channel);
        let answer = match method {
            Method::Create => {
                let places = self.creates(&asked.driver, &asked.scope);
                let _place = places.acquire().await;
                let request = create(machine, scope, (owner, spec), state);
                client.create_machine(request).await
            }
            Method::Find | Method::Observe | Method::Confirm => {
                let request = GetMachineRequest {
                    scope,
                    owner: Some(owner),
                    identity,
                    driver_state: state.bytes,
                    state_version: state.version,
                };
                client.get_machine(request).await
            }
            Method::Delete => {
                let request = DeleteMachineRequest {
                    scope,
                    owner: Some(owner),
                    identity,
                    force: false,
                    driver_state: state.bytes,
                    state_version: state.version,
                };
                client.delete_machine(request).await
            }
        };
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| Fault::from(&status))
    }
}

fn spec(machine: &ProviderMachine, asked: &Asked) -> Spec {
    let wanted = &machine.spec;
    let plugin = wanted.plugin.clone().unwrap_or_default();
    Spec {
        userdata: asked.userdata.clone(),
        ..request::spec(&plugin, &wanted.image_url, wanted.failure_domain.as_deref())
    }
}

fn create(
    machine: &ProviderMachine,
    scope: Option<Scope>,
    (owner, spec): (Owner, Spec),
    state: State,
) -> CreateMachineRequest {
    let status = machine.status.as_ref().and_then(|status| status.plugin.clone());
    let known = status.unwrap_or_default();
    CreateMachineRequest {
        scope,
        owner: Some(owner),
        spec: Some(spec),
        spec_hash: known.spec_hash.unwrap_or_default(),
        driver_state: state.bytes,
        state_version: state.version,
        attempt_id: format!("{}-{}", machine.spec.machine_uid, known.attempts),
    }
}

/// The way to a driver that is ready.
fn channel(driver: &PluginDriver) -> Result<Channel, Fault> {
    let channel = driver.supervisor.channel();
    channel.map_err(|not_ready| Fault::new(Reason::Draining, not_ready.to_string()).without_effect())
}

/// The state of a machine, in the version of the driver that runs now.
async fn state(driver: &PluginDriver, machine: &ProviderMachine, channel: &Channel) -> Result<State, Fault> {
    let plugin = machine.status.as_ref().and_then(|status| status.plugin.as_ref());
    let Some(plugin) = plugin else {
        return Ok(State {
            bytes: Vec::new(),
            version: 0,
        });
    };
    let (bytes, version) = (request::state(plugin), plugin.state_version);
    let info = driver.supervisor.status().info.unwrap_or_default();
    if bytes.is_empty() || version == info.state_version {
        return Ok(State { bytes, version });
    }
    let request = UpgradeStateRequest {
        kind: StateKind::Machine.into(),
        state_version: version,
        driver_state: bytes,
    };
    let upgraded = PluginClient::new(channel.clone()).upgrade_state(request).await;
    // Nothing was asked of the provider.
    let upgraded = upgraded
        .map_err(|status| Fault::from(&status).without_effect())?
        .into_inner();
    Ok(State {
        bytes: upgraded.driver_state,
        version: upgraded.state_version,
    })
}

impl Context {
    /// Has a scope checked for so many machines of each spec.
    pub(super) async fn check(
        &self,
        driver: &PluginDriver,
        mut scope: Scope,
        wanted: Vec<(Spec, u32)>,
    ) -> Result<Vec<CheckItem>, Fault> {
        let channel = channel(driver)?;
        let (mut specs, counts): (Vec<Spec>, Vec<u32>) = wanted.into_iter().unzip();
        self.schemas
            .fill(driver, &channel, &mut scope, &mut specs)
            .await?;
        let request = CheckScopeRequest {
            scope: Some(scope),
            specs,
            counts,
        };
        let stream = MachinesClient::new(channel).check_scope(request).await;
        let mut stream = stream.map_err(|status| Fault::from(&status))?.into_inner();
        let mut items = Vec::new();
        while let Some(item) = stream.message().await.map_err(|status| Fault::from(&status))? {
            items.push(item);
        }
        Ok(items)
    }

    /// Every machine of this installation in a scope, or a fault: never a part of them.
    pub(super) async fn list_all(
        &self,
        driver: &PluginDriver,
        mut scope: Scope,
    ) -> Result<Vec<MachineStatus>, Fault> {
        let channel = channel(driver)?;
        self.schemas.fill(driver, &channel, &mut scope, &mut []).await?;
        let request = ListMachinesRequest {
            scope: Some(scope),
            owner: Some(self.caller(&driver.name).of_all()),
            include_candidates: false,
        };
        let stream = MachinesClient::new(channel).list_machines(request).await;
        let mut stream = stream.map_err(|status| Fault::from(&status))?.into_inner();
        let mut machines = Vec::new();
        while let Some(page) = stream.message().await.map_err(|status| Fault::from(&status))? {
            machines.extend(page.machines);
            if page.list_complete {
                return Ok(machines);
            }
        }
        let text = "the list has ended without a word that it is complete, so nothing follows from it";
        Err(Fault::new(Reason::Bug, text).without_effect())
    }
}
