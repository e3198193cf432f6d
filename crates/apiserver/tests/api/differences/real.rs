//! The real API with the two controllers of kube-controller-manager that collect objects.

use kube::Client;
use sim::Kubernetes;

use super::side::Side;

/// The three programs; they end with this value.
pub(super) struct RealServer {
    pub(super) client: Client,
    _programs: Kubernetes,
}

impl RealServer {
    /// Starts them and waits until the collector works.
    pub(super) async fn start() -> RealServer {
        let mut kubernetes = Kubernetes::start().await;
        kubernetes.run_controllers(&["garbage-collector-controller", "namespace-controller"]);
        let server = RealServer {
            client: kubernetes.client().await,
            _programs: kubernetes,
        };
        let side = Side::new(server.client.clone());
        let maps = side.namespace("collector-works").await;
        assert!(
            side.collector_has_looked(&maps).await,
            "the collector does not start"
        );
        server
    }
}
