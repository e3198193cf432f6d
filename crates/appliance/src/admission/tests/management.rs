//! Clusters that name each other, in the order in which files, GitOps and people write them.

use super::*;

/// The Cluster of the base under another name, with the name of its management cluster.
fn cluster(name: &str, manager: &str) -> Value {
    let mut all = documents(BASE).into_iter();
    let mut cluster = all.find(|object| object["kind"] == "Cluster").unwrap();
    cluster["metadata"]["name"] = json!(name);
    cluster["spec"]["managementCluster"] = json!({ "name": manager });
    cluster
}

async fn delete(site: &Site, cluster: &Value) -> (StatusCode, Value) {
    let nothing = Value::Null;
    site.send(Method::DELETE, &path(cluster), "application/json", &nothing)
        .await
}

const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

#[tokio::test]
async fn both_may_be_applied_in_any_order() {
    let (main, edge) = (cluster("main", "main"), cluster("edge", "main"));
    for order in [[&main, &edge], [&edge, &main]] {
        let site = Site::start().await;
        for object in order {
            let path = format!("{}?fieldManager=kubectl", path(object));
            let kind = "application/apply-patch+yaml";
            let (status, warnings, answer) = site.exchange(Method::PATCH, &path, kind, object).await;
            assert_eq!(status, StatusCode::CREATED, "{answer}");
            let waits = object == &edge && order[0] == &edge;
            let warned = warnings
                .iter()
                .any(|text| text.contains("there is no cluster main"));
            assert_eq!(warned, waits, "{warnings:?}");
        }
        // Applied again it says nothing.
        let (status, _) = site.apply(&edge).await;
        assert_eq!(status, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_can_never_be_a_management_cluster_is_a_422() {
    let site = Site::start().await;
    for object in [cluster("main", ""), cluster("edge", "main")] {
        let (status, answer) = site.apply(&object).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    for (object, part) in [
        (
            cluster("below", "edge"),
            "cluster edge is a workload cluster of main",
        ),
        (cluster("main", "other"), "main is the management cluster of edge"),
    ] {
        let (status, answer) = site.apply(&object).await;
        assert_eq!(
            (status, fields(&answer)),
            (INVALID, vec!["spec.managementCluster.name"])
        );
        assert!(answer["message"].as_str().unwrap().contains(part), "{answer}");
    }
    let (status, _) = site.apply(&cluster("free", "")).await;
    assert_eq!(status, StatusCode::CREATED);
    let held = json!({ "metadata": { "finalizers": [keys::CLUSTER_FINALIZER] } });
    let free = cluster("free", "");
    let kind = "application/merge-patch+json";
    site.send(Method::PATCH, &path(&free), kind, &held).await;
    assert_eq!(delete(&site, &free).await.0, StatusCode::OK);
    let (status, answer) = site.apply(&cluster("late", "free")).await;
    assert_eq!(status, INVALID);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("cluster free is being deleted"), "{message}");
}

#[tokio::test]
async fn a_management_cluster_is_deleted_after_those_that_name_it() {
    let site = Site::start().await;
    let (main, edge) = (cluster("main", "main"), cluster("edge", "main"));
    for object in [&main, &edge] {
        site.apply(object).await;
    }
    let (status, answer) = delete(&site, &main).await;
    assert_eq!((status, fields(&answer)), (INVALID, vec!["metadata.name"]));
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("it is the management cluster of edge"),
        "{message}"
    );
    assert_eq!(delete(&site, &edge).await.0, StatusCode::OK);
    assert_eq!(delete(&site, &main).await.0, StatusCode::OK);
}
