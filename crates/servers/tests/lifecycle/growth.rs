//! What a change of one machine costs does not depend on how many there are.

use resources::gantry::ServerState;
use serde_json::json;

use crate::site::Site;
use crate::state;

/// Requests and bytes of answers for the same changes at a site with so many machines.
async fn cost(machines: u32) -> (u64, u64) {
    let site = Site::start().await;
    for number in 1..=machines {
        let [_, _, high, low] = number.to_be_bytes();
        let mac = format!("52:54:00:00:{high:02x}:{low:02x}");
        let address = format!("10.0.{high}.{low}");
        site.hardware_at(&format!("node-{number}"), &mac, &address).await;
    }
    for number in 1..=machines {
        site.server(&format!("node-{number}"), |server| {
            state(server) == Some(ServerState::Available)
        })
        .await;
    }
    let (requests, bytes) = site.traffic().await;
    let other = json!({"spec": {"bmcRef": {"kind": "Machine", "name": "bmc-other"}}});
    site.merge_hardware("node-7", other).await;
    site.server("node-7", |server| server.spec.bmc.as_deref() == Some("bmc-other"))
        .await;
    // A BMC concerns the one Server that names it.
    site.bmc("bmc-node-8", "off").await;
    site.server("node-8", |server| {
        server
            .status
            .as_ref()
            .is_some_and(|status| status.power.is_some())
    })
    .await;
    let (more, later) = site.traffic().await;
    site.end().await;
    (more - requests, later - bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_costs_the_same_at_any_number_of_machines() {
    let (few, many) = (cost(50).await, cost(500).await);
    println!("requests and bytes with 50 machines {few:?}, with 500 {many:?}");
    assert!(few.0 > 0 && few.1 > 0, "nothing was counted");
    // How many changes one reconciliation takes in differs from run to run.
    assert!(
        many.0 <= few.0 * 2 && many.1 <= few.1 * 2,
        "50 machines: {few:?}, 500 machines: {many:?}"
    );
}
