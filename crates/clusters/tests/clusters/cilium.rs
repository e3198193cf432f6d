//! Cilium: applied from its chart when the cluster is made, brought along by an upgrade, or left to the user.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clusters::{Charts, Options};
use clusters_sim::{NewCluster, next_release};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::api::{Api, PostParams};
use resources::gantry::{Release, ReleaseChart};
use serde_json::{Value, json};

use crate::upgrade::{NEXT_IMAGE, upgrades, use_image};
use crate::world::World;

/// A chart that says which mode it was rendered with; the DaemonSet is not its last object.
const CHART: [(&str, &str); 3] = [
    ("cilium/Chart.yaml", "apiVersion: v2\nname: cilium\nversion: 0.1.0\n"),
    ("cilium/values.yaml", "policyEnforcementMode: default\n"),
    (
        "cilium/templates/all.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata: {name: cilium-operator, namespace: kube-system}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: cilium-config
  namespace: kube-system
  annotations:
    says: {{ printf \"%s %s %v\" .Values.policyEnforcementMode .Values.routingMode .Release.IsUpgrade | quote }}
",
    ),
];

/// Charts of a folder that may be empty.
#[derive(Debug, Default)]
struct Folder {
    is_empty: AtomicBool,
}

impl Charts for Folder {
    fn read<'a>(&'a self, chart: &'a ReleaseChart) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        async move {
            if self.is_empty.load(Ordering::Relaxed) {
                return Err(format!("{} is not there", chart.source));
            }
            Ok(packed())
        }
        .boxed()
    }
}

fn packed() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in CHART {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// A world with a cluster that has Cilium with these fields.
async fn world(charts: Arc<Folder>, cilium: Value) -> World {
    let world = World::with(Options {
        charts: Some(charts),
        ..Options::default()
    })
    .await;
    world.apply_configs().await;
    let mut cluster = NewCluster::default().documents().cluster;
    let network = &mut cluster.spec.cluster_network;
    network.cni_config = Some(resources::anywhere::CniConfig {
        cilium: Some(cilium),
        ..Default::default()
    });
    world.create(&cluster).await;
    world
}

/// What the chart was rendered with each time, and what else of it was applied, in order.
fn applied(world: &World) -> Vec<String> {
    let log = world.log();
    let own = log
        .iter()
        .filter(|line| line.starts_with("cilium") || *line == "cni");
    own.cloned().collect()
}

async fn is_upgraded(world: &World) {
    let releases: Api<Release> = Api::all(world.client.clone());
    releases
        .create(&PostParams::default(), &next_release())
        .await
        .unwrap();
    world.inside.with(|inside| {
        inside.addons.dns = Some("registry.k8s.io/coredns/coredns:v1.13.1".to_owned());
        inside.addons.proxy = Some("registry.k8s.io/kube-proxy:v1.35.4".to_owned());
    });
    use_image(world, NEXT_IMAGE).await;
    world
        .edit(json!({ "spec": { "kubernetesVersion": "1.36" } }))
        .await;
    upgrades(world, NEXT_IMAGE).await;
}

#[tokio::test]
async fn cilium_is_applied_and_brought_along_by_an_upgrade() {
    let fields = json!({ "policyEnforcementMode": "never", "helmValues": { "routingMode": "native" } });
    let world = world(Arc::default(), fields).await;
    world.drive_to_ready().await;
    // The DaemonSet last: where it is, everything is.
    assert_eq!(
        applied(&world),
        ["cilium-config: never native false", "cilium-operator", "cni"]
    );
    is_upgraded(&world).await;
    // Once when the control plane has the new version, and once when all machines have it.
    let later = applied(&world).split_off(3);
    assert!(!later.is_empty());
    for once in later.chunks(3) {
        assert_eq!(
            once,
            ["cilium-config: never native true", "cilium-operator", "cni"]
        );
    }
}

#[tokio::test]
async fn an_upgrade_leaves_cilium_to_the_user_who_asks_for_it() {
    let world = world(Arc::default(), json!({ "skipUpgrade": true })).await;
    world.drive_to_ready().await;
    let before = applied(&world);
    assert_eq!(
        before,
        ["cilium-config: default tunnel false", "cilium-operator", "cni"]
    );
    is_upgraded(&world).await;
    assert_eq!(applied(&world), before);
}

#[tokio::test]
async fn a_chart_that_is_missing_is_named_and_waited_for() {
    let charts = Arc::new(Folder {
        is_empty: AtomicBool::new(true),
    });
    let world = world(Arc::clone(&charts), json!({})).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("cilium.tgz is not there"))
    };
    world.drive("a reason that names the chart", waits).await;
    charts.is_empty.store(false, Ordering::Relaxed);
    world.drive_to_ready().await;
    assert_eq!(applied(&world).len(), 3);
}
