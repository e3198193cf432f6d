//! The network of the machines is asked who has the endpoint before a cluster is created; and who holds it afterwards: keepalived,
//! kube-vip, or a load balancer of the user's.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clusters::{AddressProbe, Options};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use resources::anywhere::FailureReason;
use resources::gantry::Plan;
use resources::{Mac, keys};
use serde_json::{Value, json};

use crate::world::World;

/// A network with at most one host, which has every address; how often it was asked.
#[derive(Debug, Default)]
struct Network(Mutex<(Option<Mac>, Vec<Ipv4Addr>)>);

impl AddressProbe for Network {
    fn holder(&self, address: Ipv4Addr) -> BoxFuture<'_, Result<Option<Mac>, String>> {
        let mut network = self.0.lock().unwrap();
        network.1.push(address);
        std::future::ready(Ok(network.0)).boxed()
    }
}

async fn taken_by_a_host() -> (World, Arc<Network>) {
    let network = Arc::new(Network::default());
    network.0.lock().unwrap().0 = Some("02:00:5e:00:53:07".parse().unwrap());
    let world = World::with(Options {
        probe: Some(network.clone()),
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    (world, network)
}

#[tokio::test]
async fn a_cluster_whose_endpoint_somebody_has_is_not_begun() {
    let (world, network) = taken_by_a_host().await;
    world.rounds("demo", 3).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    assert_eq!(
        status.failure_reason,
        Some(FailureReason::UnavailableControlPlaneIP)
    );
    let message = status.failure_message.unwrap();
    for part in [
        "spec.controlPlaneConfiguration.endpoint.host",
        "192.0.2.10 is in use: 02:00:5e:00:53:07",
        keys::SKIP_IP_CHECK,
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(world.names::<Plan>().await, [""; 0]);

    network.0.lock().unwrap().0 = None;
    world.drive_to_ready().await;
    // Its own keepalived answers now, and nobody asks.
    let asked = network.0.lock().unwrap().1.len();
    world.rounds("demo", 3).await;
    let asked_for = network.0.lock().unwrap().1.clone();
    assert_eq!(asked_for.len(), asked);
    assert!(
        asked_for
            .iter()
            .all(|address| *address == Ipv4Addr::new(192, 0, 2, 10))
    );
}

#[tokio::test]
async fn the_check_can_be_skipped() {
    let (world, network) = taken_by_a_host().await;
    let annotations = json!({ "metadata": { "annotations": { keys::SKIP_IP_CHECK: "true" } } });
    world.edit(annotations).await;
    world.rounds("demo", 3).await;
    assert_eq!(world.names::<Plan>().await, ["demo-plan-1"]);
    assert!(network.0.lock().unwrap().1.is_empty());
}

/// Files of the bootstrap document of the first member, by path.
async fn files_of_the_first(world: &World) -> Vec<(String, String)> {
    let name = world.control_planes().await.remove(0);
    let secret: Secret = world.api().get(&format!("{name}-bootstrap")).await.unwrap();
    let document: Value = serde_json::from_slice(&secret.data.unwrap()["value"].0).unwrap();
    let files = document["files"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let decoded = |file: &Value| {
        let bytes = STANDARD.decode(text(&file["contentBase64"])).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    files
        .iter()
        .map(|file| (text(&file["path"]), decoded(file)))
        .collect()
}

#[tokio::test]
async fn a_load_balancer_that_leads_nowhere_yet_is_waited_for() {
    let (world, network) = taken_by_a_host().await;
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "skipLoadBalancerDeployment": true } } }))
        .await;
    world.driver().leads_nowhere = true;
    world.clusters().get("demo").with(|inside| inside.silent = true);
    let waiting = async |world: &World| {
        let plans = world.names::<Plan>().await;
        let plan = (!plans.is_empty()).then_some(world.plan());
        let rows = match plan {
            Some(plan) => plan.await.status.unwrap_or_default().steps,
            None => Vec::new(),
        };
        rows.iter().any(|row| {
            let reason = row.reason.as_deref().unwrap_or_default();
            let member =
                "the load balancer at 192.0.2.10:6443 does not lead to it yet; let it lead to 192.0.2.";
            row.deadline.is_some() && reason.contains(member)
        })
    };
    world.drive("waiting for the load balancer", waiting).await;
    let text = world.state().await;
    for _ in 0..3 {
        world.rounds("demo", 3).await;
        assert!(waiting(&world).await, "{text}");
    }
    let paths: Vec<String> = files_of_the_first(&world)
        .await
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert!(
        !paths
            .iter()
            .any(|path| path.contains("keepalived") || path.contains("kube-vip")),
        "{paths:?}"
    );
    // It answers for somebody else's API before, and nobody minds.
    assert!(network.0.lock().unwrap().1.is_empty());

    world.driver().leads_nowhere = false;
    world.clusters().get("demo").with(|inside| inside.silent = false);
    world.drive_to_ready().await;
    assert_eq!(world.count("init node-a"), 1);
}

#[tokio::test]
async fn kube_vip_is_installed_with_the_image_of_the_release() {
    let world = World::new().await;
    world.apply_documents().await;
    let annotations = json!({ "metadata": { "annotations": { keys::CONTROL_PLANE_VIP: "kube-vip" } } });
    world.edit(annotations).await;
    let asked = async |world: &World| {
        let secrets = world.secrets().await;
        secrets.iter().any(|name| name.ends_with("-bootstrap"))
    };
    world.drive("data for the first member", asked).await;
    let files = files_of_the_first(&world).await;
    let (_, manifest) = files
        .iter()
        .find(|(path, _)| path.ends_with("/kube-vip.yaml.in"))
        .unwrap();
    assert!(
        manifest.contains("ghcr.io/kube-vip/kube-vip:v1.2.0"),
        "{manifest}"
    );
    assert!(!files.iter().any(|(path, _)| path.contains("keepalived")));
    world.drive_to_ready().await;

    // Another holder is refused by the annotation's name, and the cluster goes on.
    world
        .edit(json!({ "metadata": { "annotations": { keys::CONTROL_PLANE_VIP: "keepalived" } } }))
        .await;
    world.rounds("demo", 3).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    let text = serde_json::to_string(&status).unwrap();
    assert!(
        text.contains("metadata.annotations[gantry.dev/control-plane-vip]"),
        "{text}"
    );
    assert_eq!(world.phase().await.as_deref(), Some("Running"));
}
