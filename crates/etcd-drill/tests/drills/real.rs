//! Snapshots of a real etcd with what Kubernetes keeps in it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use etcd::{Access, Contents, Etcd, EtcdConnector as _, TlsEtcdConnector};
use etcd_drill::Expected;
use node_config::REVISION_BUMP;
use resources::anywhere::EtcdDrillStage;
use resources::gantry::EtcdContents;
use sim::{EtcdGateway, EtcdMembers};

use crate::fixture::{Site, sent};

/// The authority in `kube-root-ca.crt`.
pub(crate) const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nMIIBfake\n-----END CERTIFICATE-----\n";

/// A field of protobuf with bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut length = content.len();
    let mut message = vec![number << 3 | 2];
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    [message, content.to_vec()].concat()
}

/// An object as kube-apiserver stores it.
pub(crate) fn object(kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
}

pub(crate) fn config_map(key: &str, value: &str) -> Vec<u8> {
    let entry = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
    object("ConfigMap", &[field(1, b""), field(2, &entry)].concat())
}

/// An etcd of a cluster.
pub(crate) struct Cluster {
    pub(crate) members: EtcdMembers,
    pub(crate) gateway: EtcdGateway,
    pub(crate) client: Box<dyn Etcd>,
}

impl Cluster {
    /// With what a restored control plane needs.
    pub(crate) async fn start() -> Self {
        let members = EtcdMembers::start(1);
        let own = members.client();
        let access = Access {
            endpoints: vec![members.endpoint(1)],
            ca: members.ca().to_owned(),
            certificate: own.certificate,
            key: own.key,
            limit: Duration::from_secs(10),
        };
        let client = TlsEtcdConnector.connect(access).unwrap();
        let began = std::time::Instant::now();
        while !client.observe().await.is_ok_and(|view| view.serves()) {
            assert!(began.elapsed() < Duration::from_secs(60), "etcd does not serve");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let gateway = EtcdGateway::new(&members, 1);
        let cluster = Self {
            members,
            gateway,
            client,
        };
        for (key, value) in [
            ("namespaces/default", object("Namespace", b"")),
            ("namespaces/kube-system", object("Namespace", b"")),
            (
                "configmaps/kube-system/kubeadm-config",
                config_map("ClusterConfiguration", "x"),
            ),
            (
                "configmaps/kube-system/kubelet-config",
                config_map("kubelet", "x"),
            ),
            (
                "configmaps/kube-system/kube-root-ca.crt",
                config_map("ca.crt", AUTHORITY),
            ),
            ("minions/node-1", object("Node", b"")),
            ("secrets/default/token", object("Secret", b"")),
        ] {
            cluster.put(key, &value).await;
        }
        let lease = cluster
            .gateway
            .put_with_lease("/registry/masterleases/192.0.2.1", "leased", 3600);
        lease.await.unwrap();
        cluster
    }

    pub(crate) async fn put(&self, key: &str, value: &[u8]) {
        self.gateway
            .put(&format!("/registry/{key}"), value)
            .await
            .unwrap();
    }

    /// A snapshot, and what its etcd said of it.
    pub(crate) async fn snapshot(&self) -> (Vec<u8>, Expected) {
        let mut data = Vec::new();
        let taken = self.client.snapshot(&mut data).await.unwrap();
        let Contents { revision, hash } = taken.contents.expect("it answers");
        let contents = EtcdContents {
            revision,
            compact_revision: hash.compact_revision,
            hash: hash.hash,
        };
        let expected = Expected {
            contents: Some(contents),
            authority: Some(AUTHORITY.to_owned()),
        };
        (data, expected)
    }
}

const ALL: [EtcdDrillStage; 3] = [
    EtcdDrillStage::Restoring,
    EtcdDrillStage::Starting,
    EtcdDrillStage::Reading,
];

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_snapshot_is_restored_and_served() {
    let cluster = Cluster::start().await;
    for number in 0..200 {
        // More than one page, some of them written twice, and one that is gone.
        let value = object("Secret", &[7; 300]);
        cluster
            .put(&format!("secrets/default/s-{}", number % 150), &value)
            .await;
    }
    let gone = serde_json::json!({"key": "L3JlZ2lzdHJ5L3NlY3JldHMvZGVmYXVsdC9zLTA="});
    cluster.gateway.call("kv/deleterange", &gone).await.unwrap();
    let (data, expected) = cluster.snapshot().await;
    let site = Site::with_etcd();
    let (stages, result) = site.drill(&data, &expected).await;
    let found = result.unwrap();
    assert_eq!(stages, ALL);
    let revision = expected.contents.unwrap().revision;
    assert_eq!(
        (found.revision, found.restored_revision),
        (revision, revision + REVISION_BUMP)
    );
    assert_eq!((found.keys, found.secrets), (7 + 1 + 149, 1 + 149));
    assert_eq!((found.namespaces, found.nodes), (2, 1));
    assert!(found.hash_compared);
    assert!(found.etcd_version.starts_with("3."), "{found:?}");

    // What came after the answer, and before the snapshot, changes no hash up to there.
    cluster.put("secrets/default/later", &object("Secret", b"")).await;
    let (later, _) = cluster.snapshot().await;
    let (_, result) = site.drill(&later, &expected).await;
    let found = result.unwrap();
    assert_eq!((found.secrets, found.hash_compared), (151, true));

    // Old values that went before the snapshot were in the hash.
    let compaction = serde_json::json!({"revision": (revision + 1).to_string(), "physical": true});
    cluster.gateway.call("kv/compaction", &compaction).await.unwrap();
    cluster.put("secrets/default/last", &object("Secret", b"")).await;
    let (compacted, own) = cluster.snapshot().await;
    let (_, result) = site.drill(&compacted, &expected).await;
    assert!(!result.unwrap().hash_compared);
    let (_, result) = site.drill(&compacted, &own).await;
    assert!(result.unwrap().hash_compared);
}

/// The data of the only member of a control plane, as they are saved before it is installed anew: its etcd was stopped.
#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_snapshot_of_a_frozen_etcd_is_thawed_as_by_a_restore() {
    let cluster = Cluster::start().await;
    cluster.client.freeze().await.unwrap();
    let (data, expected) = cluster.snapshot().await;
    let (_, result) = Site::with_etcd().drill(&data, &expected).await;
    assert!(result.unwrap().hash_compared);
    assert!(
        cluster.client.observe().await.unwrap().is_frozen(),
        "the cluster is not touched"
    );
}

/// A snapshot of a cluster that was restored before, as a machine restores it.
#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_snapshot_of_a_restored_cluster_is_restored_again() {
    let cluster = Cluster::start().await;
    let (data, _) = cluster.snapshot().await;
    let again = restored(cluster.members.folder(), &data);
    let (_, result) = Site::with_etcd().drill(&again, &Expected::default()).await;
    let found = result.unwrap();
    assert!(
        found.revision > REVISION_BUMP && found.restored_revision > 2 * REVISION_BUMP,
        "{found:?}"
    );
    assert_eq!(found.keys, 8);
}

/// A snapshot of the data that a restore makes of one.
fn restored(folder: &Path, snapshot: &[u8]) -> Vec<u8> {
    let (from, to) = (folder.join("first.db"), folder.join("restored"));
    std::fs::write(&from, snapshot).unwrap();
    let script = format!(
        "{}\nrestore_etcd \"$@\" older",
        node_config::restore_etcd_script()
    );
    let tool = sim::newest_build("etcdutl");
    let output = Command::new("sh")
        .args(["-euc", &script, "restore"])
        .args([&from, &to])
        .args(["node-1", "https://127.0.0.1:2380"])
        .env(
            "PATH",
            format!(
                "{}:{}",
                tool.parent().unwrap().display(),
                std::env::var("PATH").unwrap()
            ),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    sent(&std::fs::read(to.join("member/snap/db")).unwrap())
}
