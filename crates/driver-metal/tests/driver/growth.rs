//! What a change costs the driver does not depend on how many machines there are.

use futures::{StreamExt as _, stream};
use sim::Traffic;

use super::*;

/// Requests on their way at once while a site is filled.
const AT_ONCE: usize = 32;

/// A site with so many free servers, each with a BMC, and a cluster that counts them. What the driver asks for is counted.
async fn filled(servers: usize) -> (Site, Traffic, JoinHandle<()>, CancellationToken) {
    let site = Site::start(NAMESPACE).await;
    let names = stream::iter(0..servers).map(|number| format!("s-{number:05}"));
    let fill = names.for_each_concurrent(AT_ONCE, |name| {
        let site = &site;
        async move {
            server(site, &name, "worker").await;
            bmc(site, &name).await;
        }
    });
    fill.await;
    counts::provider_cluster(&site, "prod", 1).await;
    let (client, traffic) = site.counted_client();
    let (driver, cancel) = drive_on(client, WipePolicy::None);
    traffic.at_rest().await;
    (site, traffic, driver, cancel)
}

async fn bmc(site: &Site, name: &str) {
    site.make::<bmc::Machine>(json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": name},
        "spec": {"connection": {"host": "192.0.2.9", "port": 443, "insecureTLS": true,
            "authSecretRef": {"name": "x", "namespace": NAMESPACE}}}
    }))
    .await;
}

async fn has_host(site: &Site, name: &str) {
    site.when(name, |machine: &ProviderMachine| host(machine).is_some())
        .await;
}

/// Requests and bytes for one machine that gets a server, one BMC and one server that change, and a machine that waits.
async fn cost(servers: usize) -> (u64, u64) {
    let (site, traffic, driver, cancel) = filled(servers).await;
    let before = traffic.at_rest().await;
    machine(&site, "prod-1").await;
    has_host(&site, "prod-1").await;
    site.merge_status::<bmc::Machine>("s-00003", json!({"status": {"powerState": "on"}}))
        .await;
    site.merge::<Server>("s-00002", json!({"spec": {"quarantine": {"reason": "fan"}}}))
        .await;
    site.make::<ProviderMachine>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": "prod-2"},
        "spec": {"provider": "metal", "clusterName": "prod", "pool": "md-1", "machine": "prod-2", "imageURL": "file:///image.gz",
            "metal": {"selector": [{"matchLabels": {"type": "none"}}]}}
    }))
    .await;
    let waits = |machine: &ProviderMachine| {
        machine
            .status
            .as_ref()
            .is_some_and(|status| status.reason.is_some())
    };
    site.when("prod-2", waits).await;
    let after = traffic.at_rest().await;
    cancel.cancel();
    driver.await.unwrap();
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_and_a_change_cost_the_same_at_any_number_of_servers() {
    let (few, many) = (cost(100).await, cost(1_000).await);
    println!("requests and bytes with 100 servers {few:?}, with 1,000 {many:?}");
    assert!(few.0 > 0 && few.1 > 0, "nothing was counted");
    // How many changes one reconciliation takes in differs from run to run.
    assert!(
        many.0 <= few.0 * 2 && many.1 <= few.1 * 2,
        "100 servers: {few:?}, 1,000 servers: {many:?}"
    );
}

/// Requests and bytes until each of so many machines has a server; half of them wait until more servers come.
async fn cost_of_all(machines: usize) -> (u64, u64) {
    let (site, traffic, driver, cancel) = filled(machines / 2).await;
    let before = traffic.at_rest().await;
    let names = || stream::iter(0..machines).map(|number| format!("prod-{number:05}"));
    names()
        .for_each_concurrent(AT_ONCE, |name| {
            let site = &site;
            async move { machine(site, &name).await }
        })
        .await;
    traffic.at_rest().await;
    let more = stream::iter(machines / 2..machines).map(|number| format!("s-{number:05}"));
    more.for_each_concurrent(AT_ONCE, |name| {
        let site = &site;
        async move { server(site, &name, "worker").await }
    })
    .await;
    names()
        .for_each(|name| {
            let site = &site;
            async move { has_host(site, &name).await }
        })
        .await;
    let after = traffic.at_rest().await;
    let hosts = site
        .api::<ProviderMachine>()
        .list(&Default::default())
        .await
        .unwrap();
    let hosts: BTreeSet<String> = hosts.items.iter().filter_map(host).collect();
    assert_eq!(hosts.len(), machines, "each has one of its own");
    println!("{machines} machines: {:?}", traffic.requests());
    cancel.cancel();
    driver.await.unwrap();
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_machines_cost_ten_times_as_much() {
    let (few, many) = (cost_of_all(30).await, cost_of_all(300).await);
    println!("requests and bytes for 30 machines {few:?}, for 300 {many:?}");
    assert!(
        many.0 <= few.0 * 15 && many.1 <= few.1 * 15,
        "30 machines: {few:?}, 300 machines: {many:?}"
    );
}
