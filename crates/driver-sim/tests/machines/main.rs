//! The controller of plugin drivers with a real driver process: machines that come, live and go, and everything that can be in
//! the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod clusters;
mod faults;
mod kills;
mod orphans;
mod world;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use resources::gantry::{ProviderMachine, ProviderMachinePhase};
use serde_json::json;
use world::{CREDENTIAL, World, is_held};

#[tokio::test]
async fn a_machine_is_made_looked_at_and_deleted() {
    let world = World::start().await;
    let controller = world.run();
    world.want("prod-1").await;
    let status = world.running("prod-1").await;
    let object = &world.objects("prod-1")[0];
    assert_eq!(object.made.userdata, b"#cloud-config of prod-1");
    assert_eq!((object.made.vcpus, object.made.memory_mib), (2, 2048));
    assert_eq!(status.provider_id, Some(format!("memory://{}", object.id)));
    let addresses: Vec<(&str, &str)> = status
        .addresses
        .iter()
        .map(|address| (address.kind.as_str(), address.address.as_str()))
        .collect();
    let own = object.addresses().pop().unwrap();
    assert_eq!(addresses, [("Hostname", "prod-1"), ("InternalIP", own.as_str())]);
    assert_eq!(status.driver_state.as_deref(), Some("running"));
    let plugin = status.plugin.unwrap();
    assert_eq!(
        (plugin.call, plugin.outcome_unknown, plugin.failures),
        (None, false, 0)
    );
    assert_eq!(plugin.identity["id"], json!(object.id.to_string()));
    let settled = &plugin.conditions[0];
    assert_eq!(
        (settled.type_.as_str(), settled.status.as_str()),
        ("Settled", "True")
    );
    let driver = world.driver_with(|status| status.phase == "ready").await;
    assert_eq!(driver.status.as_ref().unwrap().fence, 1);
    assert_eq!(
        driver.status.unwrap().capabilities,
        ["power_control", "atomic_ownership"]
    );

    world.delete("prod-1").await;
    world.site.gone::<ProviderMachine>("prod-1").await;
    assert!(world.objects("prod-1").is_empty());
    let events = world.site.events("ProviderMachine", "prod-1").await;
    let released = events.iter().find(|(reason, _)| reason == "Released").unwrap();
    assert!(released.1.contains("that there is none"), "{released:?}");
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_machine_that_was_never_asked_for_goes_without_its_driver() {
    let world = World::start().await;
    let controller = world.run();
    world.want_with("prod-1", json!({"scope": "elsewhere"})).await;
    let status = world.reason("prod-1", "has no scope \"elsewhere\"").await;
    assert_eq!(status.phase, ProviderMachinePhase::Pending);
    assert!(status.reason.unwrap().contains("only lab"));
    world.delete("prod-1").await;
    world.site.gone::<ProviderMachine>("prod-1").await;
    assert!(world.provider.objects().is_empty());
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn nothing_is_made_before_user_data_and_credential_are_there() {
    let world = World::start().await;
    let controller = world.run();
    let secrets = world.site.api::<Secret>();
    secrets
        .delete(CREDENTIAL, &DeleteParams::default())
        .await
        .unwrap();
    world.want("prod-1").await;
    world
        .reason("prod-1", "there is no Secret memory-credential")
        .await;
    let asked = async || {
        let machine = world.site.api::<ProviderMachine>().get("prod-1").await.unwrap();
        machine.status.unwrap().bootstrap_requested_at
    };
    assert_eq!(asked().await, None, "what is handed over lasts only so long");
    secrets
        .delete("prod-1-bootstrap", &DeleteParams::default())
        .await
        .unwrap();
    world.set_password(driver_sim::PASSWORD).await;
    world
        .reason("prod-1", "waits for key value of Secret prod-1-bootstrap")
        .await;
    let first = asked().await;
    assert!(first.is_some(), "its data are asked for when it could be made");
    let machine = world.site.api::<ProviderMachine>().get("prod-1").await.unwrap();
    assert!(!is_held(&machine), "{:?}", machine.finalizers());
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prod-1-bootstrap"},
        "stringData": {"value": "late"}});
    world.site.make::<Secret>(secret).await;
    world.running("prod-1").await;
    assert_eq!(world.objects("prod-1")[0].made.userdata, b"late");
    assert_eq!(asked().await, first);
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_provider_that_nobody_drives_is_named() {
    let world = World::start().await;
    let controller = world.run();
    world
        .site
        .make::<ProviderMachine>(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": "prod-2"},
            "spec": {"provider": "nutanix", "clusterName": "prod", "machine": "prod-2", "imageURL": "x"}
        }))
        .await;
    let status = world.reason("prod-2", "has no driver nutanix, only memory").await;
    assert!(status.reason.unwrap().contains("driversFile"));
    controller.kill().await;
    world.stop().await;
}
