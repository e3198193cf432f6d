//! An import, and a change of one machine, with all controllers at work: what they ask of the API and hear from it grows as
//! the machines do, and the change costs the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by panicking, and shows what it has counted"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Leases;
use boot_script::{EventSender, ViewHandle, follow};
use clusters::{Coordinator, KubeWorkloads, Options};
use driver_metal::MetalDriver;
use etcd::TlsEtcdConnector;
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use pki::{KeyDir, SiteCa};
use resources::bmc;
use resources::gantry::{Server, ServerState, WipePolicy};
use resources::tinkerbell::Hardware;
use serde_json::json;
use sim::{Site, Traffic};
use store::records::Records;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

const NAMESPACE: &str = "eksa-system";
const SITE: &str = "site.gantry.internal";
const APPLIANCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Rows of an import on their way at once.
const AT_ONCE: usize = 64;
/// How long the boot services may take to know all machines.
const PATIENCE: Duration = Duration::from_secs(120);

/// All that watches machines, on an API whose answers are counted.
struct Appliance {
    api: Site,
    traffic: Traffic,
    view: Arc<ViewHandle>,
    _tasks: JoinSet<()>,
    _running: DropGuard,
}

impl Appliance {
    async fn start() -> Self {
        let api = Site::start(NAMESPACE).await;
        let (client, traffic) = api.counted_client();
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let view = ViewHandle::new();
        let (following, until) = (
            follow(client.clone(), view.clone(), cancel.clone()),
            cancel.clone(),
        );
        tasks.spawn(async move { following.await.unwrap() });
        machines(&api, &client, &view, &cancel, &mut tasks).await;
        let power = power::PowerOptions {
            poll: Duration::from_secs(3600),
            ..power::PowerOptions::default()
        };
        tasks.spawn(power::run(client.clone(), power, cancel.clone()));
        let settings = driver_metal::Settings {
            appliance: APPLIANCE,
            http_port: 7080,
            patience: 1,
            cooldown: SignedDuration::from_hours(24),
            wipe: WipePolicy::None,
            keep_failed: false,
        };
        tasks.spawn(MetalDriver::new(client.clone(), settings).run(cancel.clone()));
        let (workloads, etcd) = (Box::new(KubeWorkloads), Box::new(TlsEtcdConnector));
        let coordinator = Coordinator::new(client, Options::default(), workloads, etcd);
        tasks.spawn(clusters::run_coordinator(coordinator, until));
        traffic.at_rest().await;
        Self {
            api,
            traffic,
            view,
            _tasks: tasks,
            _running: cancel.drop_guard(),
        }
    }

    /// A machine with a BMC whose password is missing, so that nothing is asked of it.
    async fn import(&self, number: usize) {
        let (name, high, low) = (format!("node-{number}"), number / 200, number % 200 + 1);
        let bmc = json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine",
            "metadata": {"name": format!("bmc-{name}")},
            "spec": {"connection": {"host": format!("10.2.{high}.{low}"), "port": 443, "insecureTLS": true,
                "authSecretRef": {"name": "missing", "namespace": NAMESPACE}}}});
        self.api.make::<bmc::Machine>(bmc).await;
        let mac = format!("52:54:00:00:{high:02x}:{low:02x}");
        let hardware = json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
        "metadata": {"name": name, "labels": {"type": "worker"}},
        "spec": {
            "bmcRef": {"apiGroup": "bmc.tinkerbell.org", "kind": "Machine", "name": format!("bmc-{name}")},
            "disks": [{"device": "/dev/vda"}],
            "interfaces": [{"netboot": {"allowPXE": true}, "dhcp": {"mac": mac, "ip": {"address": format!("10.1.{high}.{low}")}}}]
        }});
        self.api.make::<Hardware>(hardware).await;
    }

    async fn is_available(&self, number: usize) {
        let available = |server: &Server| {
            let status = server.status.as_ref();
            status.is_some_and(|status| status.state == ServerState::Available)
        };
        self.api
            .when::<Server>(&format!("node-{number}"), available)
            .await;
    }
}

/// Servers and workflows.
async fn machines(
    api: &Site,
    client: &Client,
    view: &Arc<ViewHandle>,
    cancel: &CancellationToken,
    tasks: &mut JoinSet<()>,
) {
    let keys = KeyDir::open(api.scratch().join("keys")).unwrap();
    let leases = Arc::new(Leases::default());
    let (events, mut heard) = EventSender::channel(1024);
    tasks.spawn(async move { while heard.recv().await.is_some() {} });
    let servers = servers::build(servers::Context {
        client: client.clone().into(),
        ca: Arc::new(SiteCa::load_or_create(&keys, SITE, Timestamp::now()).unwrap()),
        view: view.clone(),
        leases: leases.clone(),
        endpoints: vec![format!("https://{APPLIANCE}:7443")],
        events,
        files: sim::sealed_files(api.scratch()),
        allowances: servers::Allowances {
            post_minutes: 30,
            manual_minutes: 1440,
        },
        control_plane_proof: servers::ControlPlaneProof::Bmc,
    });
    tasks.spawn(servers.controller.run(cancel.clone()));
    let workflows = workflow::build(workflow::Context {
        client: client.clone(),
        leases,
        records: Records::open(api.scratch().join("records.db")).await.unwrap(),
    });
    tasks.spawn(workflows.controller.run(cancel.clone()));
}

/// Requests and bytes of answers.
type Asked = (u64, u64);

/// What an import of so many machines costs, and then a change of one.
async fn cost(count: usize) -> (Asked, Asked) {
    let appliance = Appliance::start().await;
    let (api, traffic) = (&appliance.api, &appliance.traffic);
    let before = traffic.at_rest().await;
    let rows = stream::iter(0..count);
    rows.for_each_concurrent(AT_ONCE, |number| appliance.import(number))
        .await;
    for number in 0..count {
        appliance.is_available(number).await;
    }
    let known = appliance.view.wait(|view| view.len() == count);
    let known = tokio::time::timeout(PATIENCE, known).await;
    known.expect("the boot services never knew all machines");
    let imported = traffic.at_rest().await;
    println!("{count} machines: {:?}", traffic.requests());
    let address = json!({"spec": {"interfaces": [{"netboot": {"allowPXE": true},
        "dhcp": {"mac": "52:54:00:00:ff:07", "ip": {"address": "10.1.255.7"}}}]}});
    api.merge::<Hardware>("node-7", address).await;
    let moved = appliance.view.wait(|view| {
        let address = Ipv4Addr::new(10, 1, 255, 7);
        view.peer(address.into()).target().is_some()
    });
    tokio::time::timeout(PATIENCE, moved)
        .await
        .expect("the change is not in the view");
    api.merge_status::<bmc::Machine>("bmc-node-8", json!({"status": {"powerState": "on"}}))
        .await;
    let is_on = |server: &Server| {
        let status = server.status.as_ref();
        status.is_some_and(|status| status.power.as_deref() == Some("on"))
    };
    api.when::<Server>("node-8", is_on).await;
    let changed = traffic.at_rest().await;
    (
        (imported.0 - before.0, imported.1 - before.1),
        (changed.0 - imported.0, changed.1 - imported.1),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_costs_what_there_is_and_a_change_what_it_touches() {
    let (few, many) = (cost(100).await, cost(1_000).await);
    println!("import and changes with 100 machines {few:?}, with 1,000 {many:?}");
    assert!(few.1.0 > 0 && few.1.1 > 0, "nothing was counted");
    // How many changes one reconciliation takes in differs from run to run.
    let (import, change) = (few.0, few.1);
    assert!(
        many.0.0 <= import.0 * 15 && many.0.1 <= import.1 * 15,
        "import of 100 machines: {import:?}, of 1,000: {:?}",
        many.0
    );
    assert!(
        many.1.0 <= change.0 * 2 && many.1.1 <= change.1 * 2,
        "a change with 100 machines: {change:?}, with 1,000: {:?}",
        many.1
    );
}
