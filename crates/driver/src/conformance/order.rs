//! One machine that a case wants, with what the core keeps of it between calls.

use uuid::Uuid;

use crate::v1::{
    CreateMachineRequest, DeleteMachineRequest, GetMachineRequest, MachineIdentity, MachineStatus, Owner,
    Power, Scope, SetPowerRequest, Spec,
};

/// A machine.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) scope: Scope,
    pub(super) owner: Owner,
    pub(super) spec: Spec,
    pub(super) hash: String,
    identity: Option<MachineIdentity>,
    state: Vec<u8>,
    state_version: u32,
}

impl Order {
    pub(super) fn new(scope: Scope, spec: Spec, installation: &str, cluster: &str) -> Self {
        let machine_uid = uuid();
        let owner = Owner {
            installation_id: installation.to_owned(),
            cluster_uid: cluster.to_owned(),
            cluster_name: "conformance".to_owned(),
            machine_name: format!("conf-{}", machine_uid.get(..8).unwrap_or_default()),
            machine_uid,
            role: "worker".to_owned(),
            fence: 1,
        };
        Self {
            scope,
            owner,
            spec,
            hash: "a".repeat(64),
            identity: None,
            state: Vec::new(),
            state_version: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.owner.machine_name
    }

    /// Keeps what an answer brings.
    pub(super) fn keep(&mut self, status: &MachineStatus) {
        self.state.clone_from(&status.driver_state);
        self.state_version = status.state_version;
        if status.identity.is_some() {
            self.identity.clone_from(&status.identity);
        }
    }

    /// As a core that has lost everything but its intent.
    pub(super) fn forget(&mut self) {
        self.state.clear();
        self.state_version = 0;
        self.identity = None;
    }

    pub(super) fn state(&self) -> &[u8] {
        &self.state
    }

    pub(super) fn create(&self) -> CreateMachineRequest {
        CreateMachineRequest {
            scope: Some(self.scope.clone()),
            owner: Some(self.owner.clone()),
            spec: Some(self.spec.clone()),
            spec_hash: self.hash.clone(),
            driver_state: self.state.clone(),
            state_version: self.state_version,
            attempt_id: uuid(),
        }
    }

    pub(super) fn get(&self) -> GetMachineRequest {
        GetMachineRequest {
            scope: Some(self.scope.clone()),
            owner: Some(self.owner.clone()),
            identity: self.identity.clone(),
            driver_state: self.state.clone(),
            state_version: self.state_version,
        }
    }

    pub(super) fn delete(&self) -> DeleteMachineRequest {
        DeleteMachineRequest {
            scope: Some(self.scope.clone()),
            owner: Some(self.owner.clone()),
            identity: self.identity.clone(),
            force: false,
            driver_state: self.state.clone(),
            state_version: self.state_version,
        }
    }

    pub(super) fn power(&self, power: Power) -> SetPowerRequest {
        SetPowerRequest {
            scope: Some(self.scope.clone()),
            owner: Some(self.owner.clone()),
            identity: self.identity.clone(),
            power: power.into(),
            graceful: false,
            driver_state: self.state.clone(),
            state_version: self.state_version,
        }
    }
}

/// A new id.
pub(super) fn uuid() -> String {
    Uuid::new_v4().to_string()
}
