//! The controllers on the embedded API in process, against a Redfish BMC on loopback that behaves as each test says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod fake_bmc;
mod fault_matrix;
mod growth;
mod hardware;
mod ipmi;

use std::time::Duration;

use fake_bmc::FakeBmc;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use power::PowerOptions;
use resources::bmc::{Job, Machine, PowerState, Task};
use resources::gantry::Server;
use resources::tinkerbell::{Hardware, Workflow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "default";

fn options() -> PowerOptions {
    PowerOptions {
        poll: Duration::from_secs(3600),
        ..PowerOptions::default()
    }
}

struct Site {
    api: sim::Site,
    /// What the controllers ask of the API.
    traffic: sim::Traffic,
    cancel: CancellationToken,
    controllers: JoinHandle<()>,
}

impl Site {
    async fn start() -> Self {
        Self::on(sim::Site::start(NAMESPACE).await)
    }

    fn on(api: sim::Site) -> Self {
        let mut site = Self::without_controllers(api);
        let (client, traffic) = site.api.counted_client();
        site.traffic = traffic;
        site.controllers = tokio::spawn(power::run(client, options(), site.cancel.clone()));
        site
    }

    /// The API alone.
    fn without_controllers(api: sim::Site) -> Self {
        let (_, traffic) = api.counted_client();
        Self {
            api,
            traffic,
            cancel: CancellationToken::new(),
            controllers: tokio::spawn(std::future::ready(())),
        }
    }

    /// A BMC with its Secret; `options` go into the connection.
    async fn add_bmc(&self, name: &str, bmc: &FakeBmc, password: &str) {
        self.api
            .make::<Secret>(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-auth")},
            "type": "kubernetes.io/basic-auth", "stringData": {"username": "ops", "password": password}}),
            )
            .await;
        self.api
            .make::<Machine>(
                json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine",
            "metadata": {"name": name}, "spec": {"connection": {"host": "127.0.0.1", "insecureTLS": true,
                "authSecretRef": {"name": format!("{name}-auth"), "namespace": NAMESPACE},
                "providerOptions": {"redfish": {"port": bmc.port()}}}}}),
            )
            .await;
    }

    /// A machine that has this BMC.
    async fn add_server(&self, name: &str, bmc: &str) {
        self.api
            .make::<Hardware>(
                json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
                "metadata": {"name": name}, "spec": {}}),
            )
            .await;
        self.api
            .make::<Server>(json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server",
                "metadata": {"name": name}, "spec": {"machineId": "m-1", "hardware": name, "bmc": bmc}}))
            .await;
    }

    async fn add_job(&self, name: &str, machine: &str, tasks: Value) {
        self.api
            .make::<Job>(
                json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job", "metadata": {"name": name},
            "spec": {"machineRef": {"name": machine, "namespace": NAMESPACE}, "tasks": tasks}}),
            )
            .await;
    }

    /// Waits until the object's JSON meets the condition and returns it.
    async fn wait<K>(&self, name: &str, met: impl Fn(&Value) -> bool) -> Value
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Serialize
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let holds = |object: &K| met(&serde_json::to_value(object).unwrap());
        let object: K = self.api.when(name, holds).await;
        serde_json::to_value(object).unwrap()
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.controllers.await.unwrap();
    }
}

fn has(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn netboot() -> Value {
    json!([{"powerAction": "off"}, {"oneTimeBootDeviceAction": {"device": ["pxe"], "efiBoot": true}}, {"powerAction": "on"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_netboot_job_goes_off_override_on() {
    let site = Site::start().await;
    let bmc = FakeBmc::start().await;
    bmc.set_power("On");
    site.add_bmc("m", &bmc, fake_bmc::PASSWORD).await;
    let machine = site
        .wait::<Machine>("m", |object| has(object, "Contactable"))
        .await;
    assert_eq!(machine["status"]["powerState"], "on");

    site.add_job("netboot", "m", netboot()).await;
    let job = site
        .wait::<Job>("netboot", |object| has(object, "Completed"))
        .await;
    assert!(job["status"]["startTime"].is_string() && job["status"]["completionTime"].is_string());
    assert_eq!(bmc.changes(), ["ForceOff", "Once Pxe UEFI", "On"]);
    for index in 0..3 {
        let name = format!("netboot-task-{index}");
        site.wait::<Task>(&name, |object| has(object, "Completed")).await;
    }
    let on = |object: &Value| object["status"]["powerState"] == json!(PowerState::On);
    site.wait::<Machine>("m", on).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_machine_take_turns() {
    let site = Site::start().await;
    let bmc = FakeBmc::start().await;
    bmc.set_delay(Duration::from_millis(1500));
    site.add_bmc("m", &bmc, fake_bmc::PASSWORD).await;
    site.add_job("a", "m", json!([{"powerAction": "on"}])).await;
    site.wait::<Job>("a", |object| has(object, "Running")).await;
    site.add_job("b", "m", json!([{"powerAction": "off"}])).await;
    let waits = |object: &Value| {
        condition(object, "Running").is_some_and(|held| held["message"] == "waits for Job a")
    };
    site.wait::<Job>("b", waits).await;
    site.wait::<Job>("a", |object| has(object, "Completed")).await;
    site.wait::<Job>("b", |object| has(object, "Completed")).await;
    assert_eq!(bmc.changes(), ["On", "ForceOff"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_a_failed_job_with_a_reason() {
    let site = Site::start().await;
    let bmc = FakeBmc::start().await;
    site.add_server("node-1", "locked").await;
    site.add_bmc("locked", &bmc, "fake-wrong-password").await;
    let contact = |object: &Value| condition(object, "Contactable").is_some();
    let machine = site.wait::<Machine>("locked", contact).await;
    let held = condition(&machine, "Contactable").unwrap();
    assert!(
        held["status"] == "False"
            && held["message"]
                .as_str()
                .unwrap()
                .contains("refuses user name and password"),
        "{held}"
    );
    assert_eq!(machine["status"]["powerState"], "unknown");

    for (name, machine, tasks, reason) in [
        (
            "login",
            "locked",
            json!([{"powerAction": "on"}]),
            "task 0: BMC 127.0.0.1 refuses",
        ),
        (
            "media",
            "locked",
            json!([{"virtualMediaAction": {"mediaURL": "http://x", "kind": "CD"}}]),
            "virtualMediaAction",
        ),
        (
            "gone",
            "nobody",
            json!([{"powerAction": "on"}]),
            "there is no BMC default/nobody",
        ),
    ] {
        site.add_job(name, machine, tasks).await;
        let job = site.wait::<Job>(name, |object| has(object, "Failed")).await;
        let message = condition(&job, "Failed").unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(reason), "{message}");
    }
    assert!(bmc.changes().is_empty());
    for (kind, name, reason, part) in [
        ("Machine", "locked", "BmcUnreachable", "BMC locked: "),
        (
            "Hardware",
            "node-1",
            "BmcUnreachable",
            "refuses user name and password",
        ),
        ("Job", "gone", "PowerFailed", "there is no BMC"),
        ("Hardware", "node-1", "PowerFailed", "Job "),
    ] {
        let text = site.api.event(kind, name, reason).await;
        assert!(text.contains(part), "{kind} {name}: {text}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_forgets_is_asked_again() {
    let site = Site::start().await;
    let bmc = FakeBmc::start().await;
    bmc.forget_overrides(1);
    site.add_bmc("m", &bmc, fake_bmc::PASSWORD).await;
    site.add_job(
        "boot",
        "m",
        json!([{"bootDevice": {"device": "pxe", "efiBoot": true}}]),
    )
    .await;
    site.wait::<Job>("boot", |object| has(object, "Completed")).await;
    assert_eq!(bmc.changes(), ["Once Pxe UEFI", "Once Pxe UEFI"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_attempt_with_an_open_workflow_holds_jobs_back() {
    let site = Site::start().await;
    let bmc = FakeBmc::start().await;
    site.add_bmc("m", &bmc, fake_bmc::PASSWORD).await;
    site.add_server("node-1", "m").await;
    let attempt = |workflow: &str| json!({"spec": {"attempt": {"number": 1, "workflow": workflow}}});
    site.api.merge::<Server>("node-1", attempt("open")).await;
    site.api
        .make::<Workflow>(
            json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
            "metadata": {"name": "open"}, "spec": {}}),
        )
        .await;
    site.add_job("by-hand", "m", json!([{"powerAction": "on"}])).await;
    let held = site
        .wait::<Job>("by-hand", |job| condition(job, "Running").is_some())
        .await;
    let reason = condition(&held, "Running").unwrap()["message"].as_str().unwrap();
    assert!(reason.contains("attempt open on server node-1"), "{reason}");

    site.api
        .merge_status::<Workflow>("open", json!({"status": {"state": "FAILED"}}))
        .await;
    site.wait::<Job>("by-hand", |job| has(job, "Completed")).await;

    site.api.merge::<Server>("node-1", attempt("deleted")).await;
    site.add_job("again", "m", json!([{"powerAction": "off"}])).await;
    site.wait::<Job>("again", |job| has(job, "Completed")).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bmc_says_of_its_machine_is_kept() {
    let site = Site::start().await;
    let bmc = FakeBmc::start().await;
    site.add_bmc("m", &bmc, fake_bmc::PASSWORD).await;
    let kept = |machine: &Value| {
        let text = machine.pointer("/metadata/annotations/gantry.dev~1bmc-inventory")?;
        serde_json::from_str::<Value>(text.as_str()?).ok()
    };
    let machine = site.wait::<Machine>("m", |machine| kept(machine).is_some()).await;
    let inventory = kept(&machine).unwrap();
    assert_eq!(inventory["uuid"], fake_bmc::UUID);
    assert_eq!(inventory["serial"], fake_bmc::SERIAL);
    assert_eq!(inventory["macs"], json!([fake_bmc::MAC]));
    assert_eq!(inventory["host"], "127.0.0.1");
    site.stop().await;
}
