//! A machine that is installed: its first boot as its driver tells it, its identity, and another installation.

use driver_metal::MetalState;
use resources::Digest;
use resources::anywhere::TinkerbellTemplateConfig;
use resources::gantry::{FirstBootFailure, ProviderMachineStatus};
use resources::tinkerbell::Template;

use super::*;

/// A ready image, and a server `a` with everything that an installation needs.
async fn site() -> Site {
    let site = Site::start(NAMESPACE).await;
    site.make::<Image>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Image", "metadata": {"name": "image"},
        "spec": {"url": "file:///image.gz"}
    }))
    .await;
    let digest = Digest::new([0; 32]);
    let manifest = json!({"name": "image", "compression": "gzip", "rawSize": 1, "rawDigest": digest, "size": 1,
        "digest": digest});
    let ready = json!({"status": {"state": "ready", "manifest": manifest}});
    site.merge_status::<Image>("image", ready).await;
    server(&site, "a", "worker").await;
    let interface = json!({"dhcp": {"mac": "52:54:00:00:00:01", "hostname": "node-a", "name_servers": ["192.0.2.2"],
        "ip": {"address": "192.0.2.11", "netmask": "255.255.255.0", "gateway": "192.0.2.1"}}});
    let hardware = json!({"spec": {"disks": [{"device": "/dev/sda"}], "interfaces": [interface]}});
    site.merge::<Hardware>("a", hardware).await;
    machine(&site, "prod-1").await;
    site.merge::<ProviderMachine>("prod-1", json!({"spec": {"osFamily": "debian"}}))
        .await;
    site
}

fn state(status: &ProviderMachineStatus) -> MetalState {
    MetalState::of(Some(status)).unwrap()
}

fn status(machine: &ProviderMachine) -> ProviderMachineStatus {
    machine.status.clone().unwrap_or_default()
}

async fn status_with(site: &Site, holds: impl Fn(&ProviderMachineStatus) -> bool) -> ProviderMachineStatus {
    let machine = site
        .when("prod-1", |machine: &ProviderMachine| holds(&status(machine)))
        .await;
    status(&machine)
}

/// The Workflow installs its system in this attempt, as `workflow` and `servers` do it.
async fn installs(site: &Site, workflow: &str, attempt: u64) {
    site.when(workflow, |_: &Workflow| true).await;
    let spec = json!({"spec": {"attempt": {"number": attempt, "workflow": workflow, "closed": true}}});
    site.merge::<Server>("a", spec).await;
    site.merge_status::<Workflow>(
        workflow,
        json!({"status": {"state": "SUCCESS", "attempt": attempt}}),
    )
    .await;
    status_with(site, |status| state(status) == MetalState::Booting).await;
}

/// The first boot of an attempt, with these fields.
async fn first_boot(site: &Site, attempt: u64, more: serde_json::Value) {
    let mut first = json!({"attempt": attempt, "publicKey": Digest::new([1; 32]), "serial": "01",
        "notAfter": "2100-01-01T00:00:00Z", "requestedAt": "2026-01-01T00:00:00Z",
        "stage": null, "failure": null, "revokedAt": null});
    for (key, value) in more.as_object().unwrap() {
        first[key] = value.clone();
    }
    let status = json!({"status": {"state": "running", "firstBoot": first}});
    site.merge_status::<Server>("a", status).await;
}

fn failure() -> serde_json::Value {
    json!({"stage": "kubeadm-join", "exitStatus": 1, "lines": ["a", "the API does not answer"],
        "at": "2026-01-01T00:05:00Z"})
}

#[tokio::test]
async fn a_first_boot_that_failed_is_told_and_installed_anew_on_the_same_server() {
    let site = site().await;
    server(&site, "b", "worker").await;
    let (driver, cancel) = drive(&site);
    status_with(&site, |status| status.host.is_some()).await;
    site.merge_status::<Server>("a", json!({"status": {"state": "claimed"}}))
        .await;
    installs(&site, "prod-1-1", 1).await;
    first_boot(
        &site,
        1,
        json!({"stage": {"name": "kubeadm-join", "since": "2026-01-01T00:01:00Z"}}),
    )
    .await;
    let at_work = status_with(&site, |status| status.bootstrap_stage.is_some()).await;
    assert_eq!(state(&at_work), MetalState::Running);
    assert!(at_work.bootstrap_requested_at.is_some() && at_work.bootstrap_failure.is_none());
    first_boot(&site, 1, json!({"failure": failure()})).await;
    let failed = status_with(&site, |status| status.bootstrap_failure.is_some()).await;
    let expected: FirstBootFailure = serde_json::from_value(failure()).unwrap();
    assert_eq!(failed.bootstrap_failure, Some(expected));
    assert_eq!(failed.installation, Some(1));
    let recorded = site
        .when("a", |server: &Server| server.spec.last_failure.is_some())
        .await;
    let recorded = recorded.spec.last_failure.unwrap();
    assert_eq!(
        (recorded.attempt, recorded.count, recorded.log),
        (1, 1, vec!["a".into(), "the API does not answer".into()])
    );
    assert!(
        recorded.reason.starts_with("first boot failed at kubeadm-join"),
        "{}",
        recorded.reason
    );

    site.merge::<ProviderMachine>("prod-1", json!({"spec": {"installation": 2}}))
        .await;
    let second = status_with(&site, |status| state(status) == MetalState::Installing).await;
    assert_eq!(
        (
            second.workflow.as_deref(),
            second.installation,
            second.host.as_deref()
        ),
        (Some("prod-1-2"), Some(2), Some("a"))
    );
    // What the server says of the system that goes is not reported any more.
    assert!(second.bootstrap_failure.is_none() && second.bootstrap_requested_at.is_none());
    installs(&site, "prod-1-2", 2).await;
    assert_eq!(
        status_with(&site, |_| true).await.bootstrap_requested_at,
        None,
        "it has not asked"
    );
    first_boot(&site, 2, json!({"requestedAt": "2026-01-01T01:00:00Z"})).await;
    let asks = status_with(&site, |status| status.bootstrap_requested_at.is_some()).await;
    assert_eq!(
        asks.bootstrap_requested_at.unwrap().0.to_string(),
        "2026-01-01T01:00:00Z"
    );
    first_boot(&site, 2, json!({"revokedAt": "2026-01-01T01:05:00Z"})).await;
    site.when("a", |server: &Server| server.spec.last_failure.is_none())
        .await;

    // It is a node now.
    site.merge::<ProviderMachine>("prod-1", json!({"spec": {"installation": 3}}))
        .await;
    let stays = status_with(&site, |status| {
        let reason = status.reason.as_deref().unwrap_or_default();
        reason.contains("installation 3 is wanted, but its first boot has not failed")
    })
    .await;
    assert_eq!(
        (state(&stays), stays.installation),
        (MetalState::Running, Some(2))
    );
    assert!(
        site.api::<Workflow>()
            .get_opt("prod-1-3")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        site.api::<Job>()
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn the_identity_of_an_installed_machine_stays_what_it_was() {
    let site = site().await;
    let (driver, cancel) = drive(&site);
    status_with(&site, |status| status.host.is_some()).await;
    let renamed = |name: &str, mac: &str, address: &str| {
        let ip = json!({"address": address, "netmask": "255.255.255.0", "gateway": "192.0.2.1"});
        json!({"spec": {"interfaces": [{"dhcp": {"mac": mac, "hostname": name, "ip": ip, "name_servers": ["192.0.2.2"]}}]}})
    };
    let names = |status: &ProviderMachineStatus| -> Vec<String> {
        let addresses = status.addresses.iter().map(|address| address.address.clone());
        addresses.chain(status.mac.map(|mac| mac.to_string())).collect()
    };
    // Before it is installed it follows its Hardware.
    let first = ["node-x", "192.0.2.21", "52:54:00:00:00:21"];
    site.merge::<Hardware>("a", renamed(first[0], first[2], first[1]))
        .await;
    site.merge_status::<Server>("a", json!({"status": {"state": "claimed"}}))
        .await;
    let installing = status_with(&site, |status| state(status) == MetalState::Installing).await;
    assert_eq!(names(&installing), first);
    let template = site
        .api::<resources::tinkerbell::Template>()
        .get("prod-1-1")
        .await
        .unwrap();
    assert!(template.spec.data.unwrap().contains("192.0.2.21"));

    site.merge::<Hardware>("a", renamed("node-y", "52:54:00:00:00:22", "192.0.2.22"))
        .await;
    installs(&site, "prod-1-1", 1).await;
    first_boot(&site, 1, json!({})).await;
    let running = status_with(&site, |status| status.bootstrap_requested_at.is_some()).await;
    assert_eq!(state(&running), MetalState::Running);
    assert_eq!(names(&running), first, "its system has them");
    cancel.cancel();
    driver.await.unwrap();
}

/// The installed system mounts the file systems of its data disks; a workflow of the user's has to do that itself.
#[tokio::test]
async fn data_disks_are_mounted_by_the_systems_that_we_install() {
    let site = site().await;
    let list = json!([{"serialNumber": "S2", "mounts": [{"path": "/srv/data", "filesystem": "LABEL=data"}]}])
        .to_string();
    let annotation = json!({"metadata": {"annotations": {keys::DATA_DISKS: list}}});
    site.merge::<Hardware>("a", annotation).await;
    let (driver, cancel) = drive(&site);
    status_with(&site, |status| status.host.is_some()).await;
    site.merge_status::<Server>("a", json!({"status": {"state": "claimed"}}))
        .await;
    let template = site.when("prod-1-1", |_: &Template| true).await;
    let text = template.spec.data.unwrap();
    for part in [
        "/etc/systemd/system/srv-data.mount",
        "/dev/disk/by-label/data",
        "RequiresMountsFor=/srv/data",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    site.make::<TinkerbellTemplateConfig>(json!({
        "apiVersion": "anywhere.eks.amazonaws.com/v1alpha1", "kind": "TinkerbellTemplateConfig", "metadata": {"name": "own"},
        "spec": {"template": {"version": "0.1", "name": "own", "global_timeout": 600, "tasks": [{"name": "os",
            "worker": "{{.device_1}}", "actions": [{"name": "leave", "image": "gantry/reboot", "timeout": 60}]}]}}
    }))
    .await;
    server(&site, "b", "worker").await;
    let hardware = json!({"spec": {"disks": [{"device": "/dev/sda"}]},
        "metadata": {"annotations": {keys::DATA_DISKS: list}}});
    site.merge::<Hardware>("b", hardware).await;
    site.make::<ProviderMachine>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": "prod-2"},
        "spec": {"provider": "metal", "clusterName": "prod", "pool": "md-0", "machine": "prod-2", "imageURL": "file:///image.gz",
            "metal": {"selector": [{"matchLabels": {"type": "worker"}}],
                "templateRef": {"kind": "TinkerbellTemplateConfig", "name": "own"}}}
    }))
    .await;
    let refused = site
        .when("prod-2", |machine: &ProviderMachine| {
            status(machine).phase == ProviderMachinePhase::Failed
        })
        .await;
    let why = format!("{:?}", status(&refused));
    assert!(
        why.contains("asks for a mount at /srv/data, which only Gantry's own workflow makes"),
        "{why}"
    );
    cancel.cancel();
    driver.await.unwrap();
}
