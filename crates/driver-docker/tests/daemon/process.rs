//! The driver as a process, and calls to it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driver::json;
use driver::launch::{Limits, UserIds};
use driver::supervisor::{DriverConfiguration, DriverLog, DriverProcess, Launcher, SupervisorSettings};
use driver::v1::machines_client::MachinesClient;
use driver::v1::{
    CheckItem, CheckScopeRequest, CreateMachineRequest, DeleteMachineRequest, GetMachineRequest,
    MachineStatus, Owner, Phase, Power, Scope, SetPowerRequest, Spec, outcome,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;

use super::dockerd::{Dockerd, IMAGE, NETWORK};

const INSTALLATION: &str = "5c4f9a52-4a1f-4a3e-9d1b-0f6a7c3e2b10";
const CLUSTER: &str = "6f1c0f0e-3b0a-4a55-9d0f-0c6f2a1f7c11";
/// Calls for one thing until it is settled.
const MOST_CALLS: u32 = 1000;

pub(crate) fn configuration(readable: Vec<PathBuf>, user: Option<UserIds>) -> DriverConfiguration {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_gantry-driver-docker"));
    // Another user may not be able to execute it; its copy in memory is for all.
    let sha256 = user.map(|_| super::images::sha256(&program));
    DriverConfiguration {
        name: "docker".to_owned(),
        program,
        sha256,
        arguments: Vec::new(),
        environment: Vec::new(),
        user,
        limits: Limits::default(),
        readable,
    }
}

pub(crate) fn settings(directory: &TempDir) -> SupervisorSettings {
    let launcher = Launcher {
        program: env!("CARGO_BIN_EXE_docker-driver-launcher").into(),
        arguments: Vec::new(),
    };
    let mut settings = SupervisorSettings::new(launcher, directory.path().to_owned());
    settings.start_limit = Duration::from_secs(60);
    settings
}

/// Config of a scope that is right on a host without CAP_SYS_RESOURCE too.
pub(crate) fn config(daemon: &Dockerd) -> Value {
    json!({
        "host": format!("unix://{}", daemon.socket().display()), "network": NETWORK,
        "privileges": "capabilities", "dropCapabilities": ["SYS_RESOURCE"],
    })
}

pub(crate) fn scope(config: &Value) -> Scope {
    let config = config.as_object().expect("a config is an object");
    Scope {
        scope_id: "test".to_owned(),
        config: Some(json::to_struct(config)),
        ..Scope::default()
    }
}

/// Owner of a machine, or of what the machines of the cluster share.
pub(crate) fn owner(machine: &str) -> Owner {
    Owner {
        installation_id: INSTALLATION.to_owned(),
        cluster_uid: CLUSTER.to_owned(),
        cluster_name: "prod".to_owned(),
        machine_uid: format!("uid-of-{machine}"),
        machine_name: machine.to_owned(),
        role: "worker".to_owned(),
        fence: 1,
    }
}

pub(crate) fn spec() -> Spec {
    Spec {
        vcpus: 1,
        memory_mib: 64,
        image_ref: IMAGE.to_owned(),
        ..Spec::default()
    }
}

/// A driver that runs.
pub(crate) struct Driver {
    process: DriverProcess,
    settings: SupervisorSettings,
    scope: Scope,
    _directory: TempDir,
}

impl Driver {
    pub(crate) async fn start(config: &Value, readable: Vec<PathBuf>, user: Option<UserIds>) -> Self {
        let directory = TempDir::new().expect("a directory");
        // Another user reaches its own folder in it.
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode).expect("a directory for all");
        let settings = settings(&directory);
        let log = Arc::new(DriverLog::default());
        let process = DriverProcess::start(&configuration(readable, user), &settings, &log).await;
        Self {
            process: process.expect("the driver starts"),
            settings,
            scope: scope(config),
            _directory: directory,
        }
    }

    pub(crate) fn machines(&self) -> MachinesClient<Channel> {
        MachinesClient::new(self.process.channel())
    }

    pub(crate) fn scope(&self) -> Option<Scope> {
        Some(self.scope.clone())
    }

    pub(crate) async fn check(&self, spec: Spec) -> Vec<CheckItem> {
        let request = CheckScopeRequest {
            scope: self.scope(),
            specs: vec![spec],
            counts: vec![1],
        };
        let items = self.machines().check_scope(request).await;
        let mut items = items.expect("the scope is checked").into_inner();
        let mut all = Vec::new();
        while let Some(item) = items.message().await.expect("an item") {
            all.push(item);
        }
        all
    }

    pub(crate) async fn create_once(&self, machine: &str, spec: &Spec) -> Result<MachineStatus, Status> {
        let request = CreateMachineRequest {
            scope: self.scope(),
            owner: Some(owner(machine)),
            spec: Some(spec.clone()),
            spec_hash: "a".repeat(64),
            ..CreateMachineRequest::default()
        };
        Ok(self.machines().create_machine(request).await?.into_inner())
    }

    pub(crate) async fn create(&self, machine: &str, spec: &Spec) -> MachineStatus {
        for _ in 0..MOST_CALLS {
            let status = self
                .create_once(machine, spec)
                .await
                .expect("the machine is made");
            if is_settled(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("machine {machine} does not run");
    }

    pub(crate) async fn phase(&self, machine: &str) -> Phase {
        let request = GetMachineRequest {
            scope: self.scope(),
            owner: Some(owner(machine)),
            ..GetMachineRequest::default()
        };
        let status = self.machines().get_machine(request).await;
        status.expect("the machine is looked at").into_inner().phase()
    }

    /// Switches until it is so.
    pub(crate) async fn switch(&self, machine: &str, power: Power, graceful: bool) -> Phase {
        for _ in 0..MOST_CALLS {
            let request = SetPowerRequest {
                scope: self.scope(),
                owner: Some(owner(machine)),
                power: power.into(),
                graceful,
                ..SetPowerRequest::default()
            };
            let status = self.machines().set_power(request).await;
            let status = status.expect("the machine is switched").into_inner();
            if is_settled(&status) {
                return status.phase();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("machine {machine} is not switched");
    }

    pub(crate) async fn delete(&self, machine: &str) {
        for _ in 0..MOST_CALLS {
            let request = DeleteMachineRequest {
                scope: self.scope(),
                owner: Some(owner(machine)),
                ..DeleteMachineRequest::default()
            };
            let status = self.machines().delete_machine(request).await;
            let status = status.expect("the machine is deleted").into_inner();
            if is_settled(&status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("machine {machine} is not gone");
    }

    pub(crate) async fn stop(self) {
        self.process.stop(&self.settings).await;
    }
}

fn is_settled(status: &MachineStatus) -> bool {
    let outcome = status
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.outcome.as_ref());
    matches!(outcome, Some(outcome::Outcome::Settled(_)))
}
