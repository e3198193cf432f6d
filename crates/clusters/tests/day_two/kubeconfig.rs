//! A kubeconfig that cannot be used is refused, and no part of it is shown.

use clusters::{KubeNodesConnector, NodesConnector};
use resources::Secret;

#[tokio::test]
async fn texts_that_are_no_kubeconfig() {
    let secret = "fake-password";
    for text in [
        secret.to_owned(),
        format!("apiVersion: v1\nkind: Config\nusers: {secret}\n"),
        format!("apiVersion: v1\nkind: Config\ncurrent-context: {secret}\n"),
    ] {
        let Err(error) = KubeNodesConnector.connect(Secret::new(text)).await else {
            panic!("it was taken");
        };
        assert!(!causes::line(&error).contains(secret), "{error}");
    }
}
