//! What a ProviderCluster says before its machines are made.

use driver_sim::Trouble;
use resources::gantry::{ProviderCluster, ProviderPoolStatus};
use serde_json::json;

use crate::world::{DRIVER, World};

async fn want(world: &World, name: &str, image: &str, scope: &str) {
    let pool = |name: &str, role: &str, count: u32| {
        json!({"name": name, "role": role, "count": count,
            "plugin": {"imageURL": image, "machine": {"scope": scope, "vcpus": 2, "memoryMib": 2048}}})
    };
    world
        .site
        .make::<ProviderCluster>(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderCluster", "metadata": {"name": name},
            "spec": {"provider": DRIVER, "clusterName": name, "clusterUid": "c-1",
                "controlPlaneEndpoint": {"host": "192.0.2.7", "port": 6443},
                "pools": [pool("cp", "controlPlane", 1), pool("md-0", "worker", 2)]}
        }))
        .await;
}

/// The text of the condition `Ready`, once it has this status and this text.
async fn ready(world: &World, name: &str, wanted: &str, text: &str) -> (String, Vec<ProviderPoolStatus>) {
    let holds = |object: &ProviderCluster| {
        let ready = object.current().and_then(|status| status.ready());
        ready.is_some_and(|ready| ready.status == wanted && ready.message.contains(text))
    };
    let status = world.site.when(name, holds).await.status.unwrap();
    (status.ready().unwrap().message.clone(), status.pools)
}

#[tokio::test]
async fn a_cluster_is_ready_when_its_scope_has_what_its_machines_need() {
    let world = World::start().await;
    let controller = world.run();
    want(&world, "prod", "ubuntu-24.04", "lab").await;
    let (_, pools) = ready(&world, "prod", "True", "").await;
    let counts: Vec<(u32, bool)> = pools.iter().map(|pool| (pool.hosts, pool.free > 0)).collect();
    assert_eq!(counts, [(0, true), (0, true)]);
    world.want("prod-1").await;
    let counted = |object: &ProviderCluster| {
        let status = object.status.clone().unwrap_or_default();
        status
            .pools
            .iter()
            .any(|pool| pool.name == "md-0" && pool.hosts == 1)
    };
    world.site.when("prod", counted).await;

    want(&world, "bad", "no-such-image", "lab").await;
    let (text, pools) = ready(&world, "bad", "False", "").await;
    assert!(
        text.contains("there is no image no-such-image (/specs/0/image_ref)"),
        "{text}"
    );
    assert!(text.contains("Name an image of the provider."), "{text}");
    assert!(pools.iter().all(|pool| pool.free == 0));

    want(&world, "lost", "ubuntu-24.04", "elsewhere").await;
    let (text, _) = ready(&world, "lost", "Unknown", "").await;
    assert!(text.contains("has no scope \"elsewhere\""), "{text}");

    world.provider.set_trouble(Some(Trouble::Unavailable));
    ready(&world, "prod", "Unknown", "503").await;
    world.provider.set_trouble(None);
    ready(&world, "prod", "True", "").await;
    controller.kill().await;
    world.stop().await;
}
