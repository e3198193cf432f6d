//! The embedded API, a provider in memory, its driver as a real process, and the controller of plugin drivers between them.

use std::sync::Arc;
use std::time::Duration;

use driver::supervisor::{
    DriverConfiguration, DriverPhase, Launcher, RestartPolicy, Supervisor, SupervisorSettings,
};
use driver_plugin::{Pace, PluginController, PluginDriver};
use driver_sim::{Breach, MemoryProvider, Object, PASSWORD};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use kube::{Client, ResourceExt as _};
use resources::gantry::{
    ProviderDriver, ProviderDriverSpec, ProviderDriverStatus, ProviderMachine, ProviderMachinePhase,
    ProviderMachineStatus, ProviderScope, SecretPlace,
};
use serde_json::{Value, json};
use sim::Site;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) const NAMESPACE: &str = "eksa-system";
/// Name of the driver.
pub(crate) const DRIVER: &str = "memory";
/// Name of its scope.
pub(crate) const SCOPE: &str = "lab";
/// Secret with its password.
pub(crate) const CREDENTIAL: &str = "memory-credential";
/// For everything that has to happen at some time.
const GENEROUS: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(30);

pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) provider: Arc<MemoryProvider>,
    pub(crate) supervisor: Supervisor,
    cancel: CancellationToken,
    work: JoinHandle<()>,
    _directory: TempDir,
}

/// A controller that runs until it is killed.
pub(crate) struct Running(JoinHandle<()>);

impl Running {
    /// As a power cut: nothing is said or written any more.
    pub(crate) async fn kill(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

pub(crate) fn configuration(breach: Option<Breach>) -> DriverConfiguration {
    DriverConfiguration {
        name: DRIVER.to_owned(),
        program: env!("CARGO_BIN_EXE_memory-driver").into(),
        sha256: None,
        arguments: breach
            .map(|breach| breach.name().to_owned())
            .into_iter()
            .collect(),
        environment: Vec::new(),
        user: None,
        limits: driver::launch::Limits::default(),
        readable: Vec::new(),
    }
}

/// As quick as the interpreter allows.
fn pace() -> Pace {
    Pace {
        poll: SignedDuration::from_millis(10),
        observe: SignedDuration::from_millis(500),
        confirm: SignedDuration::from_secs(1),
        first_pause: SignedDuration::from_millis(100),
        longest_pause: SignedDuration::from_secs(1),
        change: SignedDuration::from_secs(1),
        orphans: SignedDuration::from_hours(1),
        check: SignedDuration::from_secs(1),
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let provider = MemoryProvider::start().await.expect("a provider");
        Self::with(Arc::new(provider), None, |_| {}).await
    }

    pub(crate) async fn with(
        provider: Arc<MemoryProvider>,
        breach: Option<Breach>,
        adapt: impl FnOnce(&mut SupervisorSettings),
    ) -> Self {
        let site = Site::start(NAMESPACE).await;
        let directory = tempfile::tempdir().expect("a directory");
        let launcher = Launcher {
            program: env!("CARGO_BIN_EXE_driver-launcher").into(),
            arguments: Vec::new(),
        };
        let mut settings = SupervisorSettings::new(launcher, directory.path().to_owned());
        settings.start_limit = Duration::from_secs(60);
        settings.drain_grace = Duration::from_secs(1);
        settings.restarts = RestartPolicy {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(40),
            stable: Duration::from_secs(3600),
            quarantine_after: 1000,
        };
        adapt(&mut settings);
        let cancel = CancellationToken::new();
        let (supervisor, work) = Supervisor::new(configuration(breach), settings, cancel.clone());
        let world = Self {
            site,
            provider,
            supervisor,
            cancel,
            work: tokio::spawn(work),
            _directory: directory,
        };
        world.set_password(PASSWORD).await;
        world
    }

    pub(crate) async fn set_password(&self, password: &str) {
        let data = json!({"stringData": {"password": password}});
        if self
            .site
            .api::<Secret>()
            .get_opt(CREDENTIAL)
            .await
            .unwrap()
            .is_some()
        {
            return self.site.merge::<Secret>(CREDENTIAL, data).await;
        }
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIAL}});
        secret["stringData"] = data["stringData"].clone();
        self.site.make::<Secret>(secret).await;
    }

    pub(crate) fn spec(&self) -> ProviderDriverSpec {
        let Value::Object(config) = json!({"url": self.provider.url(), "network": "lan"}) else {
            unreachable!("it is an object");
        };
        ProviderDriverSpec {
            program: env!("CARGO_BIN_EXE_memory-driver").to_owned(),
            sha256: String::new(),
            scopes: vec![ProviderScope {
                name: SCOPE.to_owned(),
                config,
                secret: Some(SecretPlace {
                    namespace: NAMESPACE.to_owned(),
                    name: CREDENTIAL.to_owned(),
                }),
            }],
        }
    }

    /// A controller on this client.
    pub(crate) fn run_on(&self, client: Client) -> Running {
        let driver = PluginDriver {
            name: DRIVER.to_owned(),
            spec: self.spec(),
            supervisor: self.supervisor.clone(),
        };
        let controller = PluginController::new(client, vec![driver], pace());
        Running(tokio::spawn(controller.run(CancellationToken::new())))
    }

    pub(crate) fn run(&self) -> Running {
        self.run_on(self.site.client())
    }

    /// A machine that is wanted, with its user data.
    pub(crate) async fn want(&self, name: &str) {
        self.want_with(name, json!({"settings": {"tier": "fast"}})).await;
    }

    pub(crate) async fn want_with(&self, name: &str, more: Value) {
        let secret = format!("{name}-bootstrap");
        self.site
            .make::<Secret>(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret},
                "stringData": {"value": format!("#cloud-config of {name}")}}),
            )
            .await;
        let mut plugin = json!({"scope": SCOPE, "vcpus": 2, "memoryMib": 2048});
        for (key, value) in more.as_object().unwrap() {
            plugin[key] = value.clone();
        }
        self.site
            .make::<ProviderMachine>(json!({
                "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": name},
                "spec": {"provider": DRIVER, "clusterName": "prod", "clusterUid": "c-1", "machine": name,
                    "machineUid": format!("uid-{name}"), "pool": "md-0", "imageURL": "ubuntu-24.04",
                    "bootstrap": {"mode": "push", "secret": secret}, "plugin": plugin}
            }))
            .await;
    }

    pub(crate) async fn delete(&self, name: &str) {
        let api = self.site.api::<ProviderMachine>();
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The status of a machine once something holds.
    pub(crate) async fn status_with(
        &self,
        name: &str,
        holds: impl Fn(&ProviderMachineStatus) -> bool,
    ) -> ProviderMachineStatus {
        let holds = |machine: &ProviderMachine| machine.status.as_ref().is_some_and(&holds);
        self.site.when(name, holds).await.status.unwrap()
    }

    pub(crate) async fn running(&self, name: &str) -> ProviderMachineStatus {
        self.status_with(name, |status| status.phase == ProviderMachinePhase::Running)
            .await
    }

    /// The status once its reason has this text.
    pub(crate) async fn reason(&self, name: &str, text: &str) -> ProviderMachineStatus {
        let has = |status: &ProviderMachineStatus| {
            status.reason.as_ref().is_some_and(|reason| reason.contains(text))
        };
        self.status_with(name, has).await
    }

    /// The driver's object once something holds.
    pub(crate) async fn driver_with(&self, holds: impl Fn(&ProviderDriverStatus) -> bool) -> ProviderDriver {
        let api: Api<ProviderDriver> = Api::all(self.site.client());
        let mut last = None;
        let found = timeout(GENEROUS, async {
            loop {
                let object = api.get_opt(DRIVER).await.unwrap();
                if let Some(object) = object {
                    if object.status.as_ref().is_some_and(&holds) {
                        return object;
                    }
                    last = Some(object);
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("it never holds; the driver is {last:#?}"))
    }

    /// The objects at the provider that bear the mark of a machine.
    pub(crate) fn objects(&self, name: &str) -> Vec<Object> {
        let uid = format!("uid-{name}");
        let all = self.provider.objects().into_iter();
        all.filter(|object| serde_json::to_value(object).unwrap()["marks"]["machine"] == uid.as_str())
            .collect()
    }

    pub(crate) async fn ready(&self) {
        let ready = self.supervisor.wait(|status| status.phase == DriverPhase::Ready);
        let found = timeout(GENEROUS, ready).await;
        assert!(
            matches!(found, Ok(Some(_))),
            "{:?}\n{:#?}",
            self.supervisor.status(),
            self.supervisor.log().after(0)
        );
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        timeout(GENEROUS, self.work)
            .await
            .expect("the work ends")
            .unwrap();
    }
}

/// Waits for something that no object of the API says.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(timeout(GENEROUS, wait).await.is_ok(), "never {what}");
}

/// Whether a machine is held by its driver.
pub(crate) fn is_held(machine: &ProviderMachine) -> bool {
    !machine.finalizers().is_empty()
}
