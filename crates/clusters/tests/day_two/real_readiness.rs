//! What one API server says of itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clusters::{KubeNodesConnector, NodesConnector, Readiness};
use sim::Kubernetes;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs kube-apiserver and etcd: gantry image build kubernetes etcd"]
async fn an_api_server_without_etcd_is_not_ready() {
    let mut kubernetes = Kubernetes::start().await;
    let nodes = KubeNodesConnector
        .connect(kubernetes.kubeconfig().clone())
        .await
        .unwrap();
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let own = at(kubernetes.port());
    assert_eq!(nodes.readiness(own).await.unwrap(), Readiness::Ready);

    kubernetes.kill_etcd().await;
    let began = Instant::now();
    // The API server asks etcd now and then.
    let failed = loop {
        match nodes.readiness(own).await.unwrap() {
            Readiness::NotReady { failed } => break failed,
            Readiness::Ready => assert!(began.elapsed() < PATIENCE, "still ready"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // `etcd-readiness` gives up before `etcd`.
    assert!(failed.iter().any(|check| check.starts_with("etcd")), "{failed:?}");

    let error = nodes.readiness(at(1)).await.unwrap_err();
    let text = causes::line(&error);
    assert!(text.contains("127.0.0.1:1") && text.contains("refused"), "{text}");
}
