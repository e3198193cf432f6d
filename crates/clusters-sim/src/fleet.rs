//! Many single-node clusters at once: the embedded API, the coordinator as the appliance runs it, and everything around it.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use clusters::{Coordinator, Options, run_coordinator};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use resources::anywhere::Cluster;
use resources::gantry::ProviderMachine;
use serde::Serialize;
use serde_json::json;
use sim::{Request, Traffic, held_bytes};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::documents::{NewCluster, release};
use crate::site::Site;

const NAMESPACE: &str = "eksa-system";
/// Servers of one rack, which is a network of its own: so many clusters find addresses and router ids in it.
const RACK: usize = 100;
/// Writers of documents.
const WRITERS: usize = 16;
/// How long the clusters may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Looks at all clusters until they write nothing.
const LOOKS: usize = 20;

/// Single-node clusters with a server for each.
#[derive(Debug)]
pub struct Fleet {
    api: sim::Site,
    around: Site,
    traffic: Traffic,
    clusters: Vec<NewCluster>,
    coordinator: Running,
    /// What acts around the coordinator.
    acting: Running,
    /// Bytes that were held before anything was made.
    empty: i64,
}

/// A task that ends when it is told to, or nobody is interested any more.
#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
    cancel: DropGuard,
}

impl Running {
    fn new<F>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run(cancel.clone()));
        let cancel = cancel.drop_guard();
        Self { task, cancel }
    }

    async fn end(self) {
        drop(self.cancel);
        self.task.await.unwrap();
    }
}

/// Bytes of memory by what holds them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Held {
    /// The API of the appliance: its objects, and the changes of them that it keeps.
    pub api: i64,
    /// The coordinator.
    pub coordinator: i64,
    /// What is simulated around it: the driver, and the clusters.
    pub simulated: i64,
}

impl Fleet {
    /// So many servers, and a coordinator that has nothing to do yet.
    pub async fn new(count: usize) -> Self {
        let api = sim::Site::start(NAMESPACE).await;
        let empty = held_bytes();
        let around = Site::new(api.client(), NAMESPACE);
        let releases = Api::all(api.client());
        releases.create(&PostParams::default(), &release()).await.unwrap();
        let clusters: Vec<NewCluster> = (0..count).map(cluster).collect();
        for (index, cluster) in clusters.iter().enumerate() {
            let host = format!("server-{index:05}");
            let address = Some(address(index, 0));
            around.add_server(&host, &cluster.control_plane, address).await;
            let endpoint = cluster.endpoint.to_string();
            around.clusters().answer_at(&endpoint, &cluster.name);
        }
        let (client, traffic) = api.counted_client();
        let all = around.clusters().clone();
        let coordinator = Coordinator::new(client, Options::default(), Box::new(all.clone()), Box::new(all));
        let acting = around.clone();
        Self {
            api,
            around,
            traffic,
            clusters,
            coordinator: Running::new(|cancel| run_coordinator(coordinator, cancel)),
            acting: Running::new(|cancel| async move { acting.follow(cancel).await }),
            empty,
        }
    }

    /// Ends one part after the other, and tells how much less is held without it.
    pub async fn end(self) -> Held {
        let whole = held_bytes();
        self.coordinator.end().await;
        let without_coordinator = held_bytes();
        self.acting.end().await;
        drop((self.around, self.clusters));
        let without_both = held_bytes();
        Held {
            api: without_both - self.empty,
            coordinator: whole - without_coordinator,
            simulated: without_coordinator - without_both,
        }
    }

    /// Writes the documents of all clusters and waits until all of them are Ready.
    pub async fn make(&self) {
        let ready = self.ready();
        let (ready, ()) = tokio::join!(ready, self.write_documents());
        assert_eq!(ready, self.clusters.len());
    }

    async fn write_documents(&self) {
        let write = async |cluster: &NewCluster| {
            let (bundle, params) = (cluster.documents(), PostParams::default());
            let datacenters = self.api.api();
            datacenters.create(&params, &bundle.datacenter).await.unwrap();
            for config in bundle.machine_configs.values() {
                self.api.api().create(&params, config).await.unwrap();
            }
            self.api.api().create(&params, &bundle.cluster).await.unwrap();
        };
        futures::stream::iter(&self.clusters)
            .for_each_concurrent(WRITERS, write)
            .await;
    }

    /// Waits until all clusters are Ready.
    async fn ready(&self) -> usize {
        let changes = watcher(self.api.api::<Cluster>(), watcher::Config::default());
        let mut changes = pin!(changes.default_backoff().applied_objects());
        let (mut ready, mut last) = (HashSet::new(), None);
        let all = async {
            while ready.len() < self.clusters.len() {
                let cluster = changes.try_next().await.unwrap().unwrap();
                if is_ready(&cluster) {
                    ready.insert(cluster.name_any());
                } else {
                    last = Some(cluster);
                }
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("{} clusters are Ready; one that was not: {last:#?}", ready.len());
        }
        ready.len()
    }

    /// What the coordinator has asked of the API of the appliance so far.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<Request, u64> {
        self.traffic.requests()
    }

    /// Waits until the coordinator has looked at each cluster and written nothing.
    pub async fn settle(&self) {
        let mut written = 0;
        for _ in 0..LOOKS {
            let before = self.requests();
            self.look().await;
            let now = self.requests();
            let reads = ["get", "list", "watch"];
            let writes = now.iter().filter(|(request, _)| !reads.contains(&request.verb));
            let new = writes.map(|(request, count)| count - before.get(request).unwrap_or(&0));
            written = new.sum();
            if written == 0 {
                return;
            }
        }
        panic!("the coordinator still writes when nothing changes: {written} in a look at all clusters");
    }

    /// Touches every cluster, and waits until the coordinator has looked at each of them.
    pub async fn look(&self) {
        let asked = |cluster: &NewCluster| {
            self.around
                .clusters()
                .get(&cluster.name)
                .with(|inside| inside.asked)
        };
        let before: Vec<usize> = self.clusters.iter().map(asked).collect();
        let touch = json!({ "metadata": { "annotations": { "example.com/looks": before.iter().sum::<usize>().to_string() } } });
        let (api, touch) = (self.api.api::<Cluster>(), Patch::Merge(&touch));
        for cluster in &self.clusters {
            api.patch(&cluster.name, &PatchParams::default(), &touch)
                .await
                .unwrap();
        }
        let looked = async {
            while self
                .clusters
                .iter()
                .map(asked)
                .zip(&before)
                .any(|(now, before)| now == *before)
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, looked)
            .await
            .expect("a cluster that changed is looked at");
    }

    /// Fails unless every cluster is Ready and has one machine, which it made once.
    pub async fn check(&self) {
        let machines = self
            .api
            .api::<ProviderMachine>()
            .list(&Default::default())
            .await
            .unwrap();
        let mut of_clusters: Vec<String> = machines
            .into_iter()
            .map(|machine| machine.spec.cluster_name)
            .collect();
        of_clusters.sort();
        let names: Vec<String> = self.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        assert_eq!(of_clusters, names, "one machine for each cluster");
        let clusters = self.api.api::<Cluster>().list(&Default::default()).await.unwrap();
        let not_ready: Vec<String> = clusters
            .iter()
            .filter(|found| !is_ready(found))
            .map(|found| found.name_any())
            .collect();
        assert_eq!((clusters.items.len(), not_ready), (names.len(), Vec::new()));
        for name in names {
            let log = self
                .around
                .clusters()
                .get(&name)
                .with(|inside| inside.log.clone());
            let inits = log.iter().filter(|line| line.starts_with("init ")).count();
            assert_eq!(inits, 1, "{name}: {log:?}");
        }
    }
}

fn is_ready(cluster: &Cluster) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .any(|known| known.type_ == "Ready" && known.status == "True")
}

fn cluster(index: usize) -> NewCluster {
    NewCluster {
        name: format!("c{index:05}"),
        endpoint: address(index, RACK),
        control_plane: format!("rack-{}", index / RACK),
        workers: None,
    }
}

/// An address in the network of a server.
fn address(index: usize, above: usize) -> Ipv4Addr {
    let last = u8::try_from(1 + above + index % RACK).unwrap();
    Ipv4Addr::new(10, 64, u8::try_from(index / RACK).unwrap(), last)
}
