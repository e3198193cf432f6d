//! Requests as `kubectl` sends them, to an embedded API with the hook in it.

mod management;

use std::sync::Arc;

use apiserver::{AesGcmSealer, ApiServer, Body, Config, Identity};
use cluster_spec::ClusterBundle;
use http::{Method, Request, StatusCode};
use resources::gantry::{ControlPlaneSpec, Release, ReleaseNodeImage, ReleaseSpec};
use resources::keys;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

const BASE: &str = include_str!("../../../cluster-spec/tests/cases/base.yaml");
const EDIT_IMAGE: &str = include_str!("../../../cluster-spec/tests/cases/edit-image.yaml");
const EDIT_API_SERVER: &str = include_str!("../../../cluster-spec/tests/cases/edit-api-server.yaml");
const EDIT_TEMPLATE: &str = include_str!("../../../cluster-spec/tests/cases/edit-template.yaml");
const NAME_A: &str = include_str!("../../../cluster-spec/tests/cases/name-a.yaml");
const NAME_B: &str = include_str!("../../../cluster-spec/tests/cases/name-b.yaml");

struct Site {
    server: ApiServer,
    _scratch: TempDir,
}

fn release() -> Release {
    let spec = ReleaseSpec {
        kubernetes_version: "1.35".to_owned(),
        patch_version: "v1.35.4".to_owned(),
        components: Vec::new(),
        node_images: vec![ReleaseNodeImage {
            os_family: "debian".to_owned(),
            cni: "flannel".to_owned(),
            image: "debian-13-kubernetes-1.35".to_owned(),
        }],
        charts: Vec::new(),
    };
    Release::new("v1.35.4", spec)
}

/// The documents of a file as `kubectl` reads them.
fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

fn path(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap();
    let plural = format!("{}s", text("/kind").to_lowercase());
    format!(
        "/apis/{}/namespaces/{}/{plural}/{}",
        text("/apiVersion"),
        text("/metadata/namespace"),
        text("/metadata/name")
    )
}

impl Site {
    async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
        let mut config = Config::new(scratch.path().join("state.db"), sealer);
        config.definitions = resources::crds();
        config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
        config.namespaces = vec!["eksa-system".to_owned()];
        config.tokens = vec![("token".to_owned(), Identity::admin("kubectl"))];
        config.admission = vec![super::clusters];
        let server = ApiServer::open(config).await.unwrap();
        Self {
            server,
            _scratch: scratch,
        }
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
        let (status, _, answer) = self.exchange(method, path, kind, body).await;
        (status, answer)
    }

    /// The answer's status, warnings and body.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> (StatusCode, Vec<String>, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", "Bearer token")
            .header("content-type", kind)
            .header("user-agent", "kubectl/v1.35.4")
            .body(body.to_string())
            .unwrap();
        let response = self.server.router().oneshot(request).await.unwrap();
        let status = response.status();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.map(|text| text.to_str().unwrap().to_owned()).collect();
        let body: Body = response.into_body();
        let bytes = axum::body::to_bytes(axum::body::Body::new(body), usize::MAX)
            .await
            .unwrap();
        (
            status,
            warnings,
            serde_json::from_slice(&bytes).unwrap_or_default(),
        )
    }

    /// `kubectl apply --server-side`.
    async fn apply(&self, object: &Value) -> (StatusCode, Value) {
        let path = format!("{}?fieldManager=kubectl&force=true", path(object));
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", object)
            .await
    }

    async fn apply_all(&self, text: &str) -> Vec<(StatusCode, Value)> {
        let mut answers = Vec::new();
        for document in documents(text) {
            answers.push(self.apply(&document).await);
        }
        answers
    }

    /// The coordinator records what the machines of this file's cluster are made from.
    async fn record(&self, text: &str) {
        let bundle: ClusterBundle = cluster_spec::parse(text, "case.yaml", &[release()]).unwrap();
        let spec = ControlPlaneSpec {
            replicas: 1,
            version: "v1.35.4".to_owned(),
            release_ref: Some("v1.35.4".to_owned()),
            release: Some(release().spec),
            documents: Some(Box::new(bundle.documents())),
            ..ControlPlaneSpec::default()
        };
        let object = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "ControlPlane",
            "metadata": { "name": bundle.name(), "namespace": "eksa-system" }, "spec": spec,
        });
        let (status, answer) = self.apply(&object).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
}

/// The base with another address of the appliance.
fn elsewhere() -> String {
    let text = BASE.replace("tinkerbellIP: 192.0.2.5", "tinkerbellIP: 192.0.2.6");
    assert_ne!(text, BASE);
    text
}

/// Fields that an answer names.
fn fields(answer: &Value) -> Vec<&str> {
    let causes = answer.pointer("/details/causes").and_then(Value::as_array);
    let causes = causes.into_iter().flatten();
    causes.map(|one| one["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_edit_without_effect_is_a_422_that_names_the_fields() {
    let site = Site::start().await;
    for (status, answer) in site.apply_all(BASE).await {
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    // Before there are machines a file may be corrected.
    for (status, answer) in site.apply_all(EDIT_IMAGE).await {
        assert!(status.is_success(), "{answer}");
    }
    for (status, answer) in site.apply_all(BASE).await {
        assert!(status.is_success(), "{answer}");
    }
    site.record(BASE).await;
    let answers = site.apply_all(&elsewhere()).await;
    let refused: Vec<&Value> = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::UNPROCESSABLE_ENTITY)
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(refused.len(), 1, "{answers:?}");
    assert_eq!(fields(refused[0]), ["spec.tinkerbellIP"]);
    assert_eq!(refused[0]["reason"], "Invalid");
    let message = refused[0]["message"].as_str().unwrap();
    assert!(message.contains("\"shed"), "{message}");
    // What replaces machines is taken.
    for text in [EDIT_IMAGE, EDIT_API_SERVER, EDIT_TEMPLATE] {
        for (status, answer) in site.apply_all(text).await {
            assert!(status.is_success(), "{answer}");
        }
    }
    for (status, answer) in site.apply_all(BASE).await {
        assert_eq!(status, StatusCode::OK, "the file as it is carried out: {answer}");
    }
}

#[tokio::test]
async fn what_has_no_effect_is_written_with_a_warning() {
    let site = Site::start().await;
    let mut cluster = documents(BASE)
        .into_iter()
        .find(|object| object["kind"] == "Cluster")
        .unwrap();
    cluster["spec"]["eksaVersion"] = json!("v0.22.1");
    let path = format!("{}?fieldManager=kubectl", path(&cluster));
    let kind = "application/apply-patch+yaml";
    let (status, warnings, answer) = site.exchange(Method::PATCH, &path, kind, &cluster).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert!(
        warning.starts_with("299 - \"Cluster ") && warning.contains("spec.eksaVersion: has no effect"),
        "{warning}"
    );
}

#[tokio::test]
async fn every_way_to_write_meets_the_rules() {
    let site = Site::start().await;
    site.apply_all(BASE).await;
    site.record(BASE).await;
    let cluster = path(&documents(BASE)[0]);
    let datacenter = path(&documents(BASE)[1]);
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;

    let merge = json!({ "spec": { "controlPlaneConfiguration": { "endpoint": { "host": "192.0.2.9" } } } });
    let (status, answer) = site
        .send(Method::PATCH, &cluster, "application/merge-patch+json", &merge)
        .await;
    assert_eq!(status, invalid, "{answer}");
    assert_eq!(fields(&answer), ["spec.controlPlaneConfiguration.endpoint"]);

    let patch = json!([{ "op": "replace", "path": "/spec/tinkerbellIP", "value": "192.0.2.6" }]);
    let (status, answer) = site
        .send(Method::PATCH, &datacenter, "application/json-patch+json", &patch)
        .await;
    assert_eq!(status, invalid, "{answer}");

    let (_, mut object) = site
        .send(Method::GET, &cluster, "application/json", &Value::Null)
        .await;
    object["spec"]["kubernetesVersion"] = json!("1.36");
    let (status, answer) = site
        .send(Method::PUT, &cluster, "application/json", &object)
        .await;
    assert_eq!(
        (status, fields(&answer)),
        (invalid, vec!["spec.kubernetesVersion"]),
        "{answer}"
    );

    let (status, _) = site
        .send(Method::DELETE, &datacenter, "application/json", &Value::Null)
        .await;
    assert_eq!(status, StatusCode::OK);
    let edited = &documents(&elsewhere())[1];
    let collection = datacenter.rsplit_once('/').unwrap().0;
    let (status, answer) = site
        .send(Method::POST, collection, "application/json", edited)
        .await;
    assert_eq!(
        status, invalid,
        "deleted and created with another address: {answer}"
    );

    // What is carried out, and what is nobody's business here.
    let workers = json!({ "spec": { "workerNodeGroupConfigurations": [{
        "name": "md-0", "count": 4,
        "machineGroupRef": { "kind": "TinkerbellMachineConfig", "name": "shed-worker" },
    }], "controlPlaneConfiguration": { "count": 3 } }, "metadata": { "annotations": { "who": "me" } } });
    let (status, answer) = site
        .send(Method::PATCH, &cluster, "application/merge-patch+json", &workers)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let state = json!({ "status": { "phase": "Running" } });
    let (status, answer) = site
        .send(
            Method::PATCH,
            &format!("{cluster}/status"),
            "application/merge-patch+json",
            &state,
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn clusters_whose_names_run_into_each_other_live_side_by_side() {
    // Group a-0 of lab and group 0 of lab-a: names of machines end in characters of their own.
    let site = Site::start().await;
    for (status, answer) in [site.apply_all(NAME_A).await, site.apply_all(NAME_B).await].concat() {
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
}

#[tokio::test]
async fn what_is_decided_once_is_neither_changed_nor_deleted_while_its_cluster_is_there() {
    let site = Site::start().await;
    site.apply_all(BASE).await;
    site.record(BASE).await;
    let control_plane = "/apis/gantry.dev/v1alpha1/namespaces/eksa-system/controlplanes/shed";
    let founder = |machine: &str| {
        let time = "2026-01-02T03:04:05Z";
        let founder = json!({ "machine": machine, "requestedAt": time, "answeredAt": time });
        json!({ "spec": { "initializedBy": founder } })
    };
    let merge = "application/merge-patch+json";
    let (status, answer) = site
        .send(Method::PATCH, control_plane, merge, &founder("shed-cp-0"))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    for change in [founder("shed-cp-1"), json!({ "spec": { "initializedBy": null } })] {
        let (status, answer) = site.send(Method::PATCH, control_plane, merge, &change).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert_eq!(fields(&answer), ["spec.initializedBy"]);
    }
    let delete = async |path: &str| {
        let answer = site.send(Method::DELETE, path, "application/json", &Value::Null);
        answer.await.0
    };
    let cluster = path(&documents(BASE)[0]);
    let codes = [
        delete(control_plane).await,
        delete(&cluster).await,
        delete(control_plane).await,
    ];
    assert_eq!(
        codes,
        [StatusCode::UNPROCESSABLE_ENTITY, StatusCode::OK, StatusCode::OK]
    );
}

/// Worker groups as the coordinator writes them for the base.
fn worker_group(kind: &str, group: &str) -> Value {
    let labels = json!({ keys::CLUSTER_NAME: "shed", keys::NODE_GROUP: group });
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": kind,
        "metadata": { "name": format!("shed-{group}"), "namespace": "eksa-system", "labels": labels },
        "spec": { "clusterName": "shed", "selector": {}, "template": { "spec": { "clusterName": "shed" } } },
    })
}

#[tokio::test]
async fn a_worker_group_is_scaled_where_its_cluster_leaves_that_open() {
    let site = Site::start().await;
    site.apply_all(BASE).await;
    let (invalid, merge) = (StatusCode::UNPROCESSABLE_ENTITY, "application/merge-patch+json");
    for (kind, group) in [("MachineDeployment", "md-7"), ("MachinePool", "md-0")] {
        let (status, answer) = site.apply(&worker_group(kind, group)).await;
        assert_eq!(
            (status, fields(&answer)),
            (invalid, vec!["metadata.name"]),
            "{answer}"
        );
    }
    let deployment = worker_group("MachineDeployment", "md-0");
    let (status, answer) = site.apply(&deployment).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (object, scale) = (path(&deployment), format!("{}/scale", path(&deployment)));
    let to = |replicas: i32| json!({ "spec": { "replicas": replicas } });
    let count = site
        .send(Method::GET, &path(&documents(BASE)[0]), "", &Value::Null)
        .await
        .1;
    let count = count["spec"]["workerNodeGroupConfigurations"][0]["count"]
        .as_i64()
        .unwrap_or(1);
    let count = i32::try_from(count).unwrap();
    // As the coordinator does.
    let (status, answer) = site.send(Method::PATCH, &object, merge, &to(count)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    for place in [&object, &scale] {
        let (status, answer) = site.send(Method::PATCH, place, merge, &to(count + 1)).await;
        assert_eq!(
            (status, fields(&answer)),
            (invalid, vec!["spec.replicas"]),
            "{answer}"
        );
        let message = answer["message"].as_str().unwrap();
        assert!(
            message.contains("spec.workerNodeGroupConfigurations[0].count of Cluster shed"),
            "{message}"
        );
    }
    let older = object.replace("v1beta2", "v1beta1");
    let (status, answer) = site.send(Method::PATCH, &older, merge, &to(count + 1)).await;
    assert_eq!(
        (status, fields(&answer)),
        (invalid, vec!["spec.replicas"]),
        "{answer}"
    );
    let bounds = json!({ "minCount": 1, "maxCount": count + 1 });
    let patch = json!([{ "op": "add", "path": "/spec/workerNodeGroupConfigurations/0/autoscalingConfiguration",
        "value": bounds }]);
    let cluster = path(&documents(BASE)[0]);
    let (status, answer) = site
        .send(Method::PATCH, &cluster, "application/json-patch+json", &patch)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, answer) = site.send(Method::PATCH, &scale, merge, &to(count + 1)).await;
    assert_eq!(
        (status, &answer["spec"]["replicas"]),
        (StatusCode::OK, &json!(count + 1)),
        "{answer}"
    );
    let (status, answer) = site.send(Method::PATCH, &scale, merge, &to(count + 2)).await;
    assert_eq!(
        (status, fields(&answer)),
        (invalid, vec!["spec.replicas"]),
        "{answer}"
    );

    let machine = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine",
        "metadata": { "name": "shed-md-0-abcde", "namespace": "eksa-system",
            "labels": { keys::DEPLOYMENT_NAME: "shed-md-0" } },
        "spec": { "clusterName": "shed" },
    });
    let (status, answer) = site.apply(&machine).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (status, answer) = site.send(Method::DELETE, &object, "", &Value::Null).await;
    assert_eq!(status, invalid, "its machines would go: {answer}");
}
