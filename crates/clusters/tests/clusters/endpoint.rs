//! The network of the machines is asked who has the endpoint before a cluster is created.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use clusters::{AddressProbe, Options};
use futures::FutureExt;
use futures::future::BoxFuture;
use resources::anywhere::FailureReason;
use resources::gantry::Plan;
use resources::{Mac, keys};
use serde_json::json;

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
