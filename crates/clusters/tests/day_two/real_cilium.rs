//! Cilium's objects, as a cluster gets them, on a real API.

use cluster_spec::cilium;
use helm_chart::{Chart, Release};
use resources::anywhere::{Cluster, CniConfig};
use resources::gantry::ReleaseSpec;
use serde_json::{Value, json};

use crate::rack::Rack;

fn objects(chart: &Chart, fields: Value) -> Vec<Value> {
    let mut cluster = Cluster::new("demo", resources::anywhere::ClusterSpec::default());
    cluster.spec.cluster_network.cni_config = Some(CniConfig {
        cilium: Some(fields),
        ..Default::default()
    });
    let cilium = cilium(&cluster).unwrap();
    let release = Release {
        name: "cilium".to_owned(),
        namespace: "kube-system".to_owned(),
        kube_version: "v1.35.4".to_owned(),
        ..Release::default()
    };
    let values = cilium.values(&ReleaseSpec::default(), chart.values(), 3);
    let rendered = chart.render(&release, &values).unwrap();
    let objects = rendered.objects.into_iter().map(|object| object.object);
    objects.chain(cilium.policies()).collect()
}

#[tokio::test]
#[ignore = "needs kube-apiserver, etcd and Cilium's chart: gantry image build kubernetes etcd cilium"]
async fn real_api_takes_every_object_of_cilium() {
    let rack = Rack::start(&[]).await;
    let packed = std::fs::read(sim::newest_build("cilium.tgz")).unwrap();
    let chart = Chart::from_archive(&packed).unwrap();
    for fields in [
        json!({}),
        json!({ "policyEnforcementMode": "always", "cniExclusive": false }),
        json!({ "routingMode": "direct", "ipv4NativeRoutingCIDR": "10.244.0.0/16" }),
        json!({ "helmValues": { "hubble": { "relay": { "enabled": true }, "ui": { "enabled": true } } } }),
    ] {
        let objects = objects(&chart, fields.clone());
        assert!(objects.len() > 10, "{fields}: {}", objects.len());
        rack.workload
            .apply(objects)
            .await
            .unwrap_or_else(|why| panic!("{fields}: {why}"));
        let system = rack.workload.system().await.unwrap();
        assert!(system.cni_applied, "{fields}");
    }
}
