//! A server that was given up, until a person knows that it is off.

use resources::gantry::ServerState;
use serde_json::json;

use crate::site::{NAMESPACE, Site};
use crate::state;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_given_up_is_free_when_it_is_said_to_be_off() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let owner = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE});
    site.merge_server("node-1", json!({"spec": {"claim": owner}}))
        .await;
    site.server("node-1", |server| state(server) == Some(ServerState::Claimed))
        .await;
    let given_up = json!({"claim": null, "quarantine": {"reason": "fan"},
        "release": {"power": "unknown", "owner": "prod-1", "reason": "BMC is dead"}});
    site.merge_server("node-1", json!({"spec": given_up})).await;
    let failed = site
        .server("node-1", |server| state(server) == Some(ServerState::Failed))
        .await;
    let reason = failed.status.unwrap().reason.unwrap();
    assert!(reason.contains("BMC is dead"), "{reason}");
    let text = site.event("node-1", "ServerFailed").await;
    assert_eq!(text, format!("Server node-1: {reason}"), "also on its Hardware");
    site.merge_server("node-1", json!({"spec": {"release": {"power": "off"}}}))
        .await;
    let free = site
        .server("node-1", |server| {
            state(server) == Some(ServerState::Available) && server.spec.release.is_none()
        })
        .await;
    assert_eq!(free.spec.quarantine, None, "whoever kept it is done");
    site.end().await;
}
