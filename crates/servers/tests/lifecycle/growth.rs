//! What a change of one machine costs does not depend on how many there are.

use std::collections::BTreeMap;

use resources::gantry::ServerState;
use serde_json::json;

use crate::site::Site;
use crate::state;

/// What was asked for at a site with so many machines.
#[derive(Debug)]
struct Cost {
    /// Requests by verb and resource, from the first Hardware until all Servers are available.
    new: BTreeMap<String, u64>,
    /// Requests and bytes of answers for the same changes.
    changes: (u64, u64),
}

async fn cost(machines: u32) -> Cost {
    let site = Site::start().await;
    site.traffic.at_rest().await;
    let before = site.traffic.requests();
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
    let (requests, bytes) = site.traffic.at_rest().await;
    let new = site.traffic.requests().into_iter().map(|(request, count)| {
        let count = count - before.get(&request).copied().unwrap_or_default();
        (format!("{} {}", request.verb, request.resource), count)
    });
    let new = new.filter(|(_, count)| *count > 0).collect();
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
    let (more, later) = site.traffic.at_rest().await;
    site.end().await;
    Cost {
        new,
        changes: (more - requests, later - bytes),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_costs_the_same_at_any_number_of_machines() {
    let (few, many) = (cost(50).await, cost(500).await);
    println!("with 50 machines {few:?}, with 500 {many:?}");
    assert!(few.changes.0 > 0 && few.changes.1 > 0, "nothing was counted");
    // How many changes one reconciliation takes in differs from run to run.
    assert!(
        many.changes.0 <= few.changes.0 * 2 && many.changes.1 <= few.changes.1 * 2,
        "50 machines: {few:?}, 500 machines: {many:?}"
    );
    // What is the same for all of them is not read for each.
    for (request, count) in &many.new {
        let is_of_machines = count > &50;
        let names = ["hardware", "servers", "servers/status", "machines", "events"];
        let known = names.iter().any(|name| request.ends_with(&format!(" {name}")));
        assert!(known || !is_of_machines, "{request}: {many:?}");
        assert!(
            !request.starts_with("list ") || !is_of_machines,
            "{request}: {many:?}"
        );
    }
    let sum = |cost: &Cost| cost.new.values().sum::<u64>();
    assert!(
        sum(&many) <= sum(&few) * 15,
        "50 machines: {few:?}, 500 machines: {many:?}"
    );
}
