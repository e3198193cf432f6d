//! Backups of a running appliance, and what a restore does with records that are older than the machines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../running/mod.rs"]
mod running;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use appliance::backup::{BackupError, From, Marked, backup, restore};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use resources::bmc::{Job, Machine};
use resources::gantry::{Server, ServerState, SessionPhase};
use resources::tinkerbell::{Hardware, Workflow};
use running::{Running, settings};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

const NAMESPACE: &str = "eksa-system";
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
const PASSWORD: &str = "not-a-real-password";

fn api<K>(client: &Client) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), NAMESPACE)
}

async fn create<K>(client: &Client, object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    api::<K>(client)
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

async fn hardware(client: &Client, name: &str, mac: &str) {
    let machine = json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": { "name": name },
        "spec": { "connection": { "host": "127.0.0.1", "port": 1, "insecureTLS": true } },
    });
    create::<Machine>(client, machine).await;
    let hardware = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": { "name": name },
        "spec": {
            "bmcRef": { "apiGroup": "bmc.tinkerbell.org", "kind": "Machine", "name": name },
            "interfaces": [{ "dhcp": { "mac": mac } }],
        },
    });
    create::<Hardware>(client, hardware).await;
}

/// Waits until a server is as wanted.
async fn server(client: &Client, name: &str, wanted: impl Fn(&Server) -> bool) -> Server {
    let servers = api::<Server>(client);
    let found = async {
        loop {
            let found = servers.get_opt(name).await.unwrap();
            if let Some(found) = found.filter(&wanted) {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("the server is as wanted")
}

fn is_available(server: &Server) -> bool {
    server
        .status
        .as_ref()
        .is_some_and(|status| status.state == ServerState::Available)
}

fn reason(server: &Server) -> String {
    server
        .status
        .as_ref()
        .and_then(|status| status.reason.clone())
        .unwrap_or_default()
}

fn job(name: &str, owner: Option<&str>) -> Value {
    let owners: Vec<Value> = owner
        .map(|uid| json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "name": "w", "uid": uid}))
        .into_iter()
        .collect();
    json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job",
        "metadata": { "name": name, "ownerReferences": owners },
        "spec": { "machineRef": { "name": "taken", "namespace": NAMESPACE }, "tasks": [{ "powerAction": "off" }] },
    })
}

/// An appliance with a free server, and one that an attempt is open on. Returns the UID of its Workflow.
async fn begun(client: &Client) -> String {
    hardware(client, "free", "52:54:00:00:00:01").await;
    hardware(client, "taken", "52:54:00:00:00:02").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "bmc" }, "stringData": { "password": PASSWORD },
    });
    create::<Secret>(client, secret).await;
    for name in ["free", "taken"] {
        server(client, name, is_available).await;
    }
    let template = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Template", "metadata": { "name": "t" },
        "spec": { "data": "version: \"0.1\"\nname: t\nglobal_timeout: 600\ntasks:\n- name: os\n  worker: taken\n  actions:\n  \
                           - name: a\n    image: reboot\n    timeout: 60\n" },
    });
    create::<resources::tinkerbell::Template>(client, template).await;
    let workflow = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": { "name": "w" },
        "spec": { "templateRef": "t", "hardwareRef": "taken" },
    });
    create::<Workflow>(client, workflow).await;
    server(client, "taken", |server| server.spec.attempt.is_some()).await;
    api::<Workflow>(client).get("w").await.unwrap().uid().unwrap()
}

fn from(backup: &Path, keys: Option<&Path>, replace: bool) -> From {
    From {
        backup: backup.to_owned(),
        keys: keys.map(Path::to_owned),
        replace,
    }
}

/// An appliance that was lost, and restored from a backup that is older than what was done last.
struct AfterLoss {
    appliance: Running,
    client: Client,
    /// UID of the Workflow whose attempt was open.
    workflow: String,
    /// Resource version that a client has seen before the loss.
    last: u64,
    marked: Marked,
}

impl AfterLoss {
    async fn new() -> Self {
        let safe = tempfile::tempdir().unwrap();
        let (file, keys) = (safe.path().join("backup.tar"), safe.path().join("keys.tar"));
        let old = Running::new().await;
        let client = old.admin().await;
        let workflow = begun(&client).await;
        create::<Job>(&client, job("netboot", Some(&workflow))).await;

        let made = backup(&settings(old.folder.path()), &file, Some(&keys))
            .await
            .unwrap();
        assert_eq!(made.path, file);
        let content = fs::read(&file).unwrap();
        let contains = |text: &str| {
            content
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        assert!(
            contains("state.db") && !contains(PASSWORD),
            "the backup is sealed"
        );

        // What happens after the backup is not known to it.
        hardware(&client, "young", "52:54:00:00:00:03").await;
        let young = server(&client, "young", is_available).await;
        let last = young.resource_version().unwrap().parse().unwrap();
        old.end().await;

        let folder = Arc::new(tempfile::tempdir().unwrap());
        let restored = restore(&settings(folder.path()), &from(&file, Some(&keys), false)).await;
        let appliance = Running::start(folder).await;
        Self {
            client: appliance.admin().await,
            appliance,
            workflow,
            last,
            marked: restored.unwrap().marked,
        }
    }
}

/// Waits until something holds of a Job.
async fn until_job(client: &Client, name: &str, holds: impl Fn(&Job) -> bool) {
    let jobs = api::<Job>(client);
    let held = async {
        while !holds(&jobs.get(name).await.unwrap()) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, held)
        .await
        .expect("the Job is as wanted");
}

fn has_begun(job: &Job) -> bool {
    job.status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_is_over_after_a_restore() {
    let after = AfterLoss::new().await;
    let (client, marked) = (&after.client, &after.marked);
    let all = ["eksa-system/free", "eksa-system/taken"];
    assert!(marked.servers.iter().eq(all.iter()), "{marked:?}");
    assert!(
        marked.attempts.iter().eq(["eksa-system/taken"].iter()),
        "{marked:?}"
    );
    assert!(marked.jobs.contains("Job eksa-system/netboot"), "{marked:?}");

    let free = server(client, "free", |server| reason(server).contains("backup")).await;
    assert!(
        reason(&free).contains("gantry verify server free"),
        "{}",
        reason(&free)
    );
    let version: u64 = free.resource_version().unwrap().parse().unwrap();
    assert!(
        version > after.last,
        "{version} follows what clients have seen, {}",
        after.last
    );
    let taken = server(client, "taken", |_| true).await;
    assert!(taken.spec.attempt.as_ref().unwrap().closed, "{taken:?}");
    let session = taken
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref());
    assert!(
        session.is_none_or(|session| session.phase == SessionPhase::Closed),
        "{session:?}"
    );
    let secret = api::<Secret>(client).get("bmc").await.unwrap();
    let password = &secret.data.unwrap()["password"].0;
    assert_eq!(password, PASSWORD.as_bytes(), "sealed with the restored key");

    // Hardware that is imported again may have been taken since the backup.
    hardware(client, "young", "52:54:00:00:00:03").await;
    let young = server(client, "young", |server| reason(server).contains("backup")).await;
    assert!(young.spec.restored.is_some());
    after.appliance.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_left_alone_until_it_is_known_what_became_of_it() {
    let after = AfterLoss::new().await;
    let client = &after.client;
    create::<Job>(client, job("ours", Some(&after.workflow))).await;
    create::<Job>(client, job("by-hand", None)).await;
    until_job(client, "ours", |job| {
        assert!(!has_begun(job), "{:?}", job.status);
        format!("{:?}", job.status).contains("gantry verify server taken")
    })
    .await;
    until_job(client, "by-hand", has_begun).await;

    // The BMC has said that it is off: nobody uses it.
    let off = json!({ "status": { "powerState": "off", "lastPolled": jiff::Timestamp::now().to_string() } });
    let machines = api::<Machine>(client);
    let off = Patch::Merge(off);
    machines
        .patch_status("free", &PatchParams::default(), &off)
        .await
        .unwrap();
    server(client, "free", |server| {
        server.spec.restored.is_none() && reason(server) == "free"
    })
    .await;

    // A person's word, when nothing else is in the way.
    api::<Job>(client)
        .delete("by-hand", &DeleteParams::default())
        .await
        .unwrap();
    let trusted = Patch::Merge(json!({ "spec": { "restored": null } }));
    let servers = api::<Server>(client);
    servers
        .patch("taken", &PatchParams::default(), &trusted)
        .await
        .unwrap();
    until_job(client, "ours", has_begun).await;
    after.appliance.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_can_not_be_changes_nothing() {
    let safe = tempfile::tempdir().unwrap();
    let (file, keys) = (safe.path().join("backup.tar"), safe.path().join("keys.tar"));
    let old = Running::new().await;
    let place = Arc::clone(&old.folder);
    hardware(&old.admin().await, "free", "52:54:00:00:00:01").await;
    backup(&settings(place.path()), &file, Some(&keys)).await.unwrap();

    let refused = |error: BackupError, text: &str| {
        let whole = causes::line(&error);
        assert!(whole.contains(text), "{whole}");
    };
    let again = backup(&settings(place.path()), &file, Some(&keys))
        .await
        .unwrap_err();
    refused(again, "keys.tar");
    let runs = restore(&settings(place.path()), &from(&file, None, true))
        .await
        .unwrap_err();
    refused(runs, "in use by process");
    old.end().await;
    let there = restore(&settings(place.path()), &from(&file, None, false))
        .await
        .unwrap_err();
    refused(there, "--replace");

    let empty = tempfile::tempdir().unwrap();
    let without = restore(&settings(empty.path()), &from(&file, None, false))
        .await
        .unwrap_err();
    refused(without, "--keys FILE");
    let is_untouched = |folder: &TempDir| {
        let left = |name: &str| fs::read_dir(folder.path().join(name)).unwrap().count();
        // The lock of the directory.
        assert_eq!((left("data"), left("keys")), (1, 0));
    };
    is_untouched(&empty);

    let whole = fs::read(&file).unwrap();
    for (name, damaged) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("flipped", {
            let mut flipped = whole.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 1;
            flipped
        }),
        (
            "no backup",
            b"not a tar archive, although it is a file of more than five hundred bytes".repeat(9),
        ),
        ("empty", Vec::new()),
    ] {
        let damaged_file = safe.path().join(name);
        fs::write(&damaged_file, damaged).unwrap();
        let error = restore(&settings(empty.path()), &from(&damaged_file, Some(&keys), false))
            .await
            .unwrap_err();
        refused(error, "nothing was changed");
        assert!(!empty.path().join("data/state.db").exists(), "{name}");
        assert_eq!(
            fs::read_dir(empty.path().join("keys")).unwrap().count(),
            0,
            "{name}"
        );
    }
    // What an interrupted restore leaves is no appliance, and the next one goes on.
    let interrupted = settings(empty.path());
    let cancel = tokio_util::sync::CancellationToken::new();
    let releases = vec![running::release()];
    let error = appliance::run(interrupted, releases, cancel, |_| ())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("gantry restore appliance"), "{error}");
    restore(&settings(empty.path()), &from(&file, Some(&keys), false))
        .await
        .unwrap();
    assert!(empty.path().join("data/state.db").exists());

    // Back to it in its own place: what was there is kept.
    let replaced = restore(&settings(place.path()), &from(&file, None, true))
        .await
        .unwrap();
    assert!(replaced.replaced.unwrap().join("state.db").exists());
    let new = Running::start(place).await;
    server(&new.admin().await, "free", |server| {
        server.spec.restored.is_some()
    })
    .await;
    new.end().await;
}
