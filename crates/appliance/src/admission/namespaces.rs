//! A namespace that holds clusters or claimed servers is not deleted.
//!
//! Deleting it would take Secrets and Hardware along, and with them the way to power servers off and give them back.

use apiserver::{AdmissionRequest, AdmissionVerb, Refusal};
use serde_json::Value;

const CLUSTERS: &str = "clusters.anywhere.eks.amazonaws.com";
const SERVERS: &str = "servers.gantry.dev";

/// Refuses the deletion of a namespace that is in use, by the names of what it holds.
///
/// # Errors
/// The clusters and claimed servers, and what to do first.
pub(super) fn namespaces(request: &AdmissionRequest<'_>, _: &mut Value) -> Result<Vec<String>, Refusal> {
    if (request.group, request.kind) != ("", "Namespace") || request.verb != AdmissionVerb::Delete {
        return Ok(Vec::new());
    }
    let clusters = request.objects.list(CLUSTERS, request.name);
    if !clusters.is_empty() {
        let text = format!(
            "it holds the cluster(s) {}: delete each of them first with `gantry delete cluster NAME`",
            names(&clusters).join(", ")
        );
        return Err(Refusal::Forbidden(text));
    }
    let mut servers = request.objects.list(SERVERS, request.name);
    servers.retain(|server| server["spec"]["claim"].is_object());
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "it holds the claimed server(s) {}: wait until they are given back, or delete what claims them \
         (`kubectl get servers -n {}` shows it)",
        names(&servers).join(", "),
        request.name
    );
    Err(Refusal::Forbidden(text))
}

fn names(objects: &[Value]) -> Vec<&str> {
    let names = objects.iter().map(|object| object["metadata"]["name"].as_str());
    names.map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apiserver::{AesGcmSealer, ApiServer, Config};
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
    use kube::core::{ApiResource, GroupVersionKind};
    use serde_json::json;

    #[tokio::test]
    async fn a_namespace_in_use_is_not_deleted() {
        let scratch = tempfile::tempdir().unwrap();
        let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
        let mut config = Config::new(scratch.path().join("state.db"), sealer);
        config.definitions = resources::crds();
        config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
        config.namespaces = vec!["eksa-system".to_owned()];
        config.admission = vec![super::namespaces];
        let server = ApiServer::open(config).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(server.client());
        let refused = || async {
            match namespaces.delete("eksa-system", &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
                other => panic!("not refused: {other:?}"),
            }
        };
        let servers = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("gantry.dev", "v1alpha1", "Server"),
            "servers",
        );
        let servers: Api<DynamicObject> = Api::namespaced_with(server.client(), "eksa-system", &servers);
        let claimed = json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-1"},
            "spec": {"machineId": "1", "hardware": "node-1", "claim": {"kind": "Story", "name": "owner",
                "namespace": "eksa-system", "bootstrapSecret": "data"}}});
        let claimed = serde_json::from_value(claimed).unwrap();
        servers.create(&PostParams::default(), &claimed).await.unwrap();
        let (code, message) = refused().await;
        assert_eq!(code, 403);
        assert!(message.contains("claimed server(s) node-1"), "{message}");

        let clusters = GroupVersionKind::gvk("anywhere.eks.amazonaws.com", "v1alpha1", "Cluster");
        let clusters = ApiResource::from_gvk_with_plural(&clusters, "clusters");
        let clusters: Api<DynamicObject> = Api::namespaced_with(server.client(), "eksa-system", &clusters);
        let text = include_str!("../../../cluster-spec/tests/cases/base.yaml");
        let documents = text
            .split("\n---\n")
            .map(|text| serde_saphyr::from_str(text).unwrap());
        let mut cluster = documents
            .into_iter()
            .find(|d: &serde_json::Value| d["kind"] == "Cluster")
            .unwrap();
        cluster["metadata"]["name"] = "lab".into();
        let cluster = serde_json::from_value(cluster).unwrap();
        clusters.create(&PostParams::default(), &cluster).await.unwrap();
        let (code, message) = refused().await;
        assert_eq!(code, 403);
        assert!(message.contains("cluster(s) lab"), "{message}");
        assert!(
            namespaces
                .get("eksa-system")
                .await
                .unwrap()
                .metadata
                .deletion_timestamp
                .is_none()
        );

        clusters.delete("lab", &DeleteParams::default()).await.unwrap();
        let free = Patch::Merge(json!({"spec": {"claim": null}}));
        servers
            .patch("node-1", &PatchParams::default(), &free)
            .await
            .unwrap();
        let deleted = namespaces.delete("eksa-system", &DeleteParams::default()).await;
        deleted.unwrap();
        server.close().await;
    }
}
