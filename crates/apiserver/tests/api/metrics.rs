//! `/metrics`: a path that is no resource, and who may read it.

use apiserver::{ApiServer, Identity, Role};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::fixture::{Fixture, config};

const TEXT: &str = "# TYPE a_total counter\na_total 1\n";

async fn answer(client: &Client, method: Method) -> (u16, Option<String>) {
    let request = Request::builder().method(method).uri("/metrics");
    let request = request.body(kube::client::Body::empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let media = response.headers().get("content-type");
    let media = media.map(|media| media.to_str().unwrap().to_owned());
    (response.status().as_u16(), media)
}

/// What a review says of reading the path.
async fn may_get(client: &Client) -> Value {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "nonResourceAttributes": { "verb": "get", "path": "/metrics" } },
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .unwrap();
    let answer: Value = client.request(request).await.unwrap();
    answer["status"]["allowed"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_whom_a_role_lets_get_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.exposition = Some(|| TEXT.to_owned());
    config.roles = vec![Role {
        subjects: vec!["system:monitoring".to_owned()],
        verbs: vec!["get".to_owned()],
        paths: vec!["/metrics".to_owned()],
        ..Role::default()
    }];
    let server = ApiServer::open(config).await.unwrap();
    let of = |name: &str, group: &str| Identity {
        name: name.to_owned(),
        groups: vec![group.to_owned()],
    };
    for (identity, code, allowed) in [
        (Identity::admin("admin"), 200, true),
        (of("prometheus", "system:monitoring"), 200, true),
        (of("joe", "nobodies"), 403, false),
    ] {
        let client = server.client_as(identity.clone());
        let (got, media) = answer(&client, Method::GET).await;
        assert_eq!(got, code, "{identity:?}");
        assert_eq!(may_get(&client).await, allowed, "{identity:?}");
        assert_eq!(answer(&client, Method::POST).await.0, 405, "{identity:?}");
        if code == 200 {
            assert_eq!(media.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
            let text = client.request_text(Request::get("/metrics").body(Vec::new()).unwrap());
            assert_eq!(text.await.unwrap(), TEXT);
        }
    }
    let nobody = server.client_as(Identity::anonymous());
    assert_eq!(answer(&nobody, Method::GET).await.0, 401);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_metrics_there_is_no_such_path() {
    let f = Fixture::new().await;
    assert_eq!(answer(&f.client, Method::GET).await.0, 404);
}
