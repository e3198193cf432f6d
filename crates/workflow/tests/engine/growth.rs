//! What a Workflow and a change cost does not depend on how many machines there are.

use super::*;

/// Requests and bytes of answers for one Workflow up to its first action, beside so many machines.
async fn cost(others: usize) -> (u64, u64) {
    let site = Site::among(others).await;
    site.traffic.at_rest().await;
    // The first lookup by identity makes the index.
    next(&site).await.unwrap_err();
    let before = site.traffic.at_rest().await;
    site.machine("node-1").await;
    site.template("install", TEMPLATE).await;
    let options = json!({"toggleAllowNetboot": true, "bootMode": "netboot"});
    site.make_workflow("install-1", "install", options).await;
    is_brought_up(&site).await;
    first_action(&site).await;
    site.merge_server("other-7", json!({"spec": {"postMinutes": 7}}))
        .await;
    let after = site.traffic.at_rest().await;
    site.end().await;
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_costs_the_same_at_any_number_of_machines() {
    let (few, many) = (cost(50).await, cost(500).await);
    println!("requests and bytes with 50 machines {few:?}, with 500 {many:?}");
    assert!(few.0 > 0 && few.1 > 0, "nothing was counted");
    // How many changes one reconciliation takes in differs from run to run.
    assert!(
        many.0 <= few.0 * 2 && many.1 <= few.1 * 2,
        "50 machines: {few:?}, 500 machines: {many:?}"
    );
}
