//! Snapshots that are of no use, each with its reason.

use etcd_drill::Expected;
use resources::anywhere::EtcdDrillStage;
use resources::gantry::EtcdContents;
use serde_json::json;

use crate::fixture::{Site, sent};
use crate::real::{AUTHORITY, Cluster, object};

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_damaged_snapshots_are_refused_before_etcd_starts() {
    let cluster = Cluster::start().await;
    let (data, expected) = cluster.snapshot().await;
    let site = Site::with_etcd();
    let database = &data[..data.len() - 32];
    let flipped = |at: usize| {
        let mut data = data.clone();
        data[at] ^= 1;
        data
    };
    // Whatever bit it is: what is compared is the hash behind the data.
    for bad in [
        flipped(0),
        flipped(database.len() / 2),
        flipped(data.len() - 1),
        data[..data.len() / 2].to_vec(),
        Vec::new(),
    ] {
        let (stage, text, is_of_snapshot) = site.refused(&bad, &expected).await;
        assert_eq!((stage, is_of_snapshot), (EtcdDrillStage::Restoring, true));
        assert!(text.contains("the snapshot of etcd is damaged"), "{text}");
    }
    // A hash that fits what is no database.
    let (stage, text, _) = site.refused(&sent(&[7; 8192]), &expected).await;
    assert_eq!(stage, EtcdDrillStage::Restoring);
    assert!(text.contains("etcdutl can't"), "{text}");
    // Damage that was there before the snapshot was sealed: in the pages, not in the meta data.
    let mut zeroed = database.to_vec();
    let holds = |page: &[u8]| page.windows(14).any(|part| part == b"kubeadm-config");
    let pages = zeroed.chunks_mut(4096).filter(|page| holds(page));
    pages.for_each(|page| page.fill(0));
    let (_, result) = site.drill(&sent(&zeroed), &expected).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("gantry snapshot cluster"), "{text}");
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_snapshot_of_something_else_is_named() {
    let cluster = Cluster::start().await;
    let (data, expected) = cluster.snapshot().await;
    let site = Site::with_etcd();
    let known = expected.contents.unwrap();
    let with = |contents| Expected {
        contents: Some(contents),
        ..expected.clone()
    };
    let other_hash = with(EtcdContents {
        hash: known.hash ^ 1,
        ..known
    });
    let newer = with(EtcdContents {
        revision: known.revision + 5,
        ..known
    });
    let other_authority = Expected {
        authority: Some(AUTHORITY.replace("fake", "other")),
        ..expected.clone()
    };
    for (expected, stage, part) in [
        (other_hash, EtcdDrillStage::Restoring, "have the hash"),
        (
            newer,
            EtcdDrillStage::Restoring,
            "the snapshot ends with revision",
        ),
        (
            other_authority,
            EtcdDrillStage::Reading,
            "the data of another cluster",
        ),
    ] {
        let (at, text, is_of_snapshot) = site.refused(&data, &expected).await;
        assert_eq!((at, is_of_snapshot), (stage, true), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_data_that_a_restored_cluster_can_not_go_on_with() {
    let cluster = Cluster::start().await;
    let site = Site::with_etcd();
    let refused = async || {
        let (data, expected) = cluster.snapshot().await;
        let (stage, text, is_of_snapshot) = site.refused(&data, &expected).await;
        assert_eq!((stage, is_of_snapshot), (EtcdDrillStage::Reading, true), "{text}");
        text
    };
    let encrypted = [b"k8s:enc:aescbc:v1:key1:".as_slice(), &[1; 32]].concat();
    cluster.put("secrets/default/token", &encrypted).await;
    let text = refused().await;
    assert!(text.contains("1 of 1 Secrets are encrypted"), "{text}");
    assert!(text.contains("k8s:enc:aescbc:v1:key1"), "{text}");
    cluster.put("secrets/default/token", &object("Secret", b"")).await;

    let config = "configmaps/kube-system/kubeadm-config";
    cluster.put(config, &object("Secret", b"")).await;
    let text = refused().await;
    assert!(
        text.contains("kubeadm-config is a \"Secret\" and no ConfigMap"),
        "{text}"
    );
    let key = json!({"key": "L3JlZ2lzdHJ5L2NvbmZpZ21hcHMva3ViZS1zeXN0ZW0va3ViZWFkbS1jb25maWc="});
    cluster.gateway.call("kv/deleterange", &key).await.unwrap();
    let text = refused().await;
    assert!(text.contains("kubeadm-config is missing"), "{text}");
}
