//! Clusters whose machines a plugin driver makes: what is handed over with a machine, and when; and every way that a cluster goes.

use base64::Engine as _;
use cluster_spec::VirtualSite;
use clusters_sim::{docker_documents, vsphere_documents};
use k8s_openapi::api::core::v1::{Event, Secret as KubeSecret};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use resources::anywhere::{Cluster, VSphereMachineConfig};
use resources::gantry::{BootstrapMode, Image, PlanClass, ProviderCluster};
use serde_json::{Value, json};

use crate::upgrade::waits_for_approval;
use crate::world::{TURNS, World};

const TEMPLATE: &str = "templates/ubuntu-1.35";
const OTHER_TEMPLATE: &str = "templates/ubuntu-1.35-b";

/// Writes where and of what the containers of a cluster are made.
pub(crate) async fn apply_docker_site(world: &World) {
    let Some(VirtualSite::Docker(datacenter)) = docker_documents().virtual_site else {
        panic!("no Docker");
    };
    world.create(&*datacenter).await;
}

pub(crate) async fn apply_docker_cluster(world: &World) {
    world.create(&docker_documents().cluster).await;
}

async fn vsphere() -> World {
    let world = World::new().await;
    let bundle = vsphere_documents(TEMPLATE);
    let site = bundle.virtual_site.unwrap();
    let site = site.vsphere().unwrap();
    world.create(&site.datacenter).await;
    for config in site.machine_configs.values() {
        world.create(config).await;
    }
    world.create(&bundle.cluster).await;
    world
}

async fn made() -> World {
    let world = vsphere().await;
    world.drive_to_ready().await;
    world
}

#[tokio::test]
async fn a_cluster_in_a_vcenter_is_made() {
    let world = made().await;
    let machines = world.machines().await;
    assert_eq!(machines.len(), 2);
    for machine in &machines {
        let (name, spec) = (machine.name_any(), &machine.spec);
        assert_eq!(spec.provider, "vsphere");
        assert_eq!((spec.metal.as_ref(), spec.image_url.as_str()), (None, TEMPLATE));
        assert_eq!(spec.bootstrap.mode, BootstrapMode::Push);
        assert_eq!(
            spec.bootstrap.secret.as_deref(),
            Some(format!("{name}-bootstrap").as_str())
        );
        let plugin = serde_json::to_value(spec.plugin.as_ref().unwrap()).unwrap();
        let expected = json!({
            "scope": "demo", "vcpus": 2, "memoryMib": 8192, "rootDiskGib": 25, "userdataFormat": "cloudConfig",
            "settings": {"datacenter": "dc", "networks": ["lan"], "datastore": "ssd", "folder": "nodes",
                "resourcePool": "pool"},
        });
        assert_eq!(plugin, expected);
        let node = world.inside.with(|inside| inside.nodes[&name].clone());
        assert_eq!(
            node.provider_id,
            Some(format!("vm://{name}")),
            "noted by the coordinator"
        );
    }
    let cluster: ProviderCluster = world.api().get("demo").await.unwrap();
    assert_eq!(cluster.spec.provider, "vsphere");
    for pool in &cluster.spec.pools {
        assert!(pool.metal.is_none());
        assert_eq!(pool.plugin.as_ref().unwrap().image_url, TEMPLATE);
    }
    assert_eq!(world.count("init"), 1);
    assert_eq!(world.tokens(), 0);
    let kept = ["demo-ca", "demo-etcd", "demo-kubeconfig", "demo-proxy", "demo-sa"];
    assert_eq!(world.secrets().await, kept);
    let images: Vec<String> = world.names::<Image>().await;
    assert_eq!(images, [""; 0], "the driver gets the image");
}

/// What is handed over with a machine stands in its Secret and nowhere else.
#[tokio::test]
async fn what_is_handed_over_is_in_its_secret_alone() {
    let world = vsphere().await;
    let given = async |world: &World| {
        let secrets = world.secrets().await;
        secrets.iter().any(|name| name.ends_with("-bootstrap"))
    };
    world.drive("user data", given).await;
    let founder = world.control_planes().await.remove(0);
    let secret: KubeSecret = world.api().get(&format!("{founder}-bootstrap")).await.unwrap();
    let data = String::from_utf8(secret.data.unwrap()["value"].0.clone()).unwrap();
    let key: KubeSecret = world.api().get("demo-ca").await.unwrap();
    let key = &key.data.unwrap()["tls.key"].0;
    let key = base64::engine::general_purpose::STANDARD.encode(key);
    assert!(data.contains(&key), "the member gets the authority's key");
    world.drive_to_ready().await;
    let mut texts = Vec::new();
    for machine in world.machines().await {
        texts.push(serde_json::to_string(&machine).unwrap());
    }
    for event in world.api::<Event>().list(&Default::default()).await.unwrap() {
        texts.push(serde_json::to_string(&event).unwrap());
    }
    assert!(
        texts
            .iter()
            .all(|text| !text.contains("kubeadm.k8s.io") && !text.contains(&key))
    );
}

#[tokio::test]
async fn groups_are_scaled() {
    let world = made().await;
    world.scale_workers(3).await;
    world.scale_control_plane(3).await;
    let all = async |world: &World| {
        let machines = world.machines().await;
        machines.len() == 6 && world.is_at_rest().await
    };
    world.drive("three of each", all).await;
    world.drive_to_ready().await;
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
    assert_eq!(world.tokens(), 0);
    world.scale_workers(1).await;
    let less = async |world: &World| world.workers().await.len() == 1 && world.is_at_rest().await;
    world.drive("one worker", less).await;
    world.drive_to_ready().await;
}

#[tokio::test]
async fn another_template_is_rolled_out_when_a_person_has_approved_it() {
    let world = made().await;
    let before = world.machines().await;
    let configs: Api<VSphereMachineConfig> = world.api();
    let patch = Patch::Merge(json!({ "spec": { "template": OTHER_TEMPLATE } }));
    configs
        .patch("demo", &PatchParams::default(), &patch)
        .await
        .unwrap();
    waits_for_approval(&world).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Upgrade);
    world.approve(&plan.name_any()).await;
    let done = async |world: &World| {
        let machines = world.machines().await;
        let all = machines
            .iter()
            .all(|machine| machine.spec.image_url == OTHER_TEMPLATE);
        all && world.is_at_rest().await
    };
    world.drive("the other template", done).await;
    world.drive_to_ready().await;
    let after = world.machines().await;
    assert_eq!(after.len(), 2);
    for machine in &after {
        let is_new = before
            .iter()
            .all(|known| known.spec.machine_uid != machine.spec.machine_uid);
        assert!(is_new, "{}", machine.name_any());
    }
    let lost = world.inside.with(|inside| inside.lost_quorum);
    assert_eq!(lost, None);
}

#[tokio::test]
async fn a_machine_is_replaced_when_its_machine_is_deleted_and_when_its_provider_gives_it_up() {
    let world = made().await;
    let worker = world.workers().await.remove(0);
    world.delete_machine(&worker).await;
    let replaced = async |world: &World| {
        let workers = world.workers().await;
        workers.len() == 1 && workers[0] != worker && world.is_at_rest().await
    };
    world.drive("another worker", replaced).await;
    world.drive_to_ready().await;

    let worker = world.workers().await.remove(0);
    let host = world.host(&worker);
    let reason = "the machine is gone from its provider".to_owned();
    world.driver().broken.insert(host, reason);
    let replaced = async |world: &World| {
        let workers = world.workers().await;
        workers.len() == 1 && workers[0] != worker && world.is_at_rest().await
    };
    world.drive("another worker", replaced).await;
    world.drive_to_ready().await;
    assert_eq!(world.machines().await.len(), 2);
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_cluster() {
    let world = made().await;
    let clusters = world.api::<Cluster>();
    clusters.delete("demo", &Default::default()).await.unwrap();
    world.drive_to_gone().await;
    assert!(world.driver().claims().is_empty());
    assert_eq!(world.secrets().await, [""; 0]);
    assert_eq!(world.names::<ProviderCluster>().await, [""; 0]);
}

#[tokio::test]
async fn a_docker_cluster_without_an_endpoint_says_what_is_missing() {
    let world = World::new().await;
    apply_docker_site(&world).await;
    let mut cluster = docker_documents().cluster;
    cluster.spec.control_plane_configuration.endpoint = None;
    world.create(&cluster).await;
    world.rounds("demo", 6).await;
    let status = world.settled().await;
    let said = status.reason.unwrap();
    assert!(
        said.contains("spec.controlPlaneConfiguration.endpoint.host") && said.contains("docker"),
        "{said}"
    );
    assert_eq!(world.machines().await, [], "none is made");
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "endpoint": { "host": "192.0.2.10" } } } }))
        .await;
    world.drive_to_ready().await;
    let machines = world.machines().await;
    let sources: Vec<&str> = machines
        .iter()
        .map(|machine| machine.spec.image_url.as_str())
        .collect();
    assert_eq!(
        sources,
        ["ubuntu-24.04", "ubuntu-24.04"],
        "the Release's container image"
    );
    let plugin: Value = serde_json::to_value(machines[0].spec.plugin.as_ref().unwrap()).unwrap();
    let expected = json!({"scope": "demo", "vcpus": 0, "memoryMib": 0, "userdataFormat": "cloudConfig"});
    assert_eq!(plugin, expected);
}

#[tokio::test]
async fn clusters_of_two_providers_stand_side_by_side() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    apply_docker_site(&world).await;
    let mut cluster = docker_documents().cluster;
    cluster.metadata.name = Some("other".to_owned());
    "other".clone_into(&mut cluster.spec.management_cluster.name);
    let endpoint = cluster
        .spec
        .control_plane_configuration
        .endpoint
        .as_mut()
        .unwrap();
    "192.0.2.20".clone_into(&mut endpoint.host);
    world.clusters().answer_at("192.0.2.20", "other");
    world.create(&cluster).await;
    world.rounds("other", TURNS / 2).await;
    let machines = world.machines().await;
    let mut made: Vec<(&str, &str)> = machines
        .iter()
        .map(|machine| (machine.spec.cluster_name.as_str(), machine.spec.provider.as_str()))
        .collect();
    made.sort_unstable();
    let expected = [
        ("demo", "metal"),
        ("demo", "metal"),
        ("other", "docker"),
        ("other", "docker"),
    ];
    assert_eq!(made, expected);
    let cluster: Cluster = world.api().get("other").await.unwrap();
    let conditions = cluster.status.unwrap().conditions;
    let ready = conditions.iter().find(|known| known.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True", "{ready:?}");
    world.drive_to_ready().await;
}
