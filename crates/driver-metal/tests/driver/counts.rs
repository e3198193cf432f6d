//! What the driver says in ProviderClusters of the hosts that there are.

use resources::gantry::ProviderCluster;

use super::*;

pub(crate) async fn provider_cluster(site: &Site, name: &str, count: u32) {
    let pool = json!({"name": "md-0", "role": "worker", "count": count,
        "metal": {"selector": [{"matchLabels": {"type": "worker"}}]}});
    site.make::<ProviderCluster>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderCluster", "metadata": {"name": name},
        "spec": {"provider": "metal", "clusterName": name, "clusterUid": "u",
            "controlPlaneEndpoint": {"host": "192.0.2.10", "port": 6443}, "pools": [pool]}
    }))
    .await;
}

/// Until the present spec is answered with so many hosts of its machines and so many free ones.
async fn counted(site: &Site, name: &str, hosts: u32, free: u32) -> ProviderCluster {
    let is_told = |object: &ProviderCluster| {
        let pool = object.current().and_then(|status| status.pools.first());
        pool.is_some_and(|pool| (pool.hosts, pool.free) == (hosts, free))
    };
    site.when(name, is_told).await
}

fn ready(object: &ProviderCluster) -> &str {
    object.current().unwrap().ready().unwrap().status.as_str()
}

#[tokio::test]
async fn a_provider_cluster_follows_claims_quarantine_and_new_hardware() {
    let site = Site::start(NAMESPACE).await;
    for name in ["a", "b", "c"] {
        server(&site, name, "worker").await;
    }
    server(&site, "d", "other").await;
    let (driver, cancel) = drive(&site);
    provider_cluster(&site, "prod", 4).await;
    provider_cluster(&site, "test", 1).await;
    assert_eq!(ready(&counted(&site, "prod", 0, 3).await), "False");
    assert_eq!(ready(&counted(&site, "test", 0, 3).await), "True");

    server(&site, "e", "worker").await;
    assert_eq!(ready(&counted(&site, "prod", 0, 4).await), "True");
    machine(&site, "prod-1").await;
    let object = counted(&site, "prod", 1, 3).await;
    assert_eq!(ready(&object), "True");
    let other = counted(&site, "test", 0, 3).await;
    assert_eq!(
        other.current().unwrap().pools[0].not_free,
        ["1 in use by cluster prod (a)"]
    );
    site.merge::<Server>("b", json!({"spec": {"quarantine": {"reason": "fan"}}}))
        .await;
    assert_eq!(ready(&counted(&site, "prod", 1, 2).await), "False");
    // The labels decide, and they may change.
    let label = json!({"metadata": {"labels": {"type": "worker"}}});
    site.merge::<Hardware>("d", label).await;
    counted(&site, "prod", 1, 3).await;
    let spec = json!({"spec": {"pools": [{"name": "md-0", "role": "worker", "count": 1,
        "metal": {"selector": [{"matchLabels": {"type": "none"}}]}}]}});
    site.merge::<ProviderCluster>("prod", spec).await;
    let object = counted(&site, "prod", 1, 0).await;
    assert_eq!(ready(&object), "True", "its one machine has a host");
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_driver_that_begins_anew_counts_what_is_there_and_answers_nobody_elses() {
    let site = Site::start(NAMESPACE).await;
    provider_cluster(&site, "prod", 1).await;
    provider_cluster(&site, "away", 1).await;
    site.merge::<ProviderCluster>("away", json!({"spec": {"provider": "vsphere"}}))
        .await;
    let (driver, cancel) = drive(&site);
    let object = counted(&site, "prod", 0, 0).await;
    let message = &object.current().unwrap().ready().unwrap().message;
    assert!(message.contains("no hardware has these labels"), "{message}");
    cancel.cancel();
    driver.await.unwrap();
    server(&site, "a", "worker").await;
    let (driver, cancel) = drive(&site);
    counted(&site, "prod", 0, 1).await;
    let away: ProviderCluster = site.api().get("away").await.unwrap();
    assert_eq!(away.status, None);
    cancel.cancel();
    driver.await.unwrap();
}
