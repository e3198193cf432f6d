//! Every path that discovery publishes takes exactly the methods that discovery names.

use std::collections::BTreeSet;

use http::{Method, Request, Response};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::fixture::{Fixture, widget};

async fn send(f: &Fixture, method: &Method, path: &str) -> Response<kube::client::Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(kube::client::Body::empty()).unwrap();
    f.client.send(request).await.unwrap()
}

/// Method of a verb, and whether its path names an object. Lists are applied by a patch of their collection.
fn method(verb: &str) -> (Method, bool) {
    match verb {
        "create" => (Method::POST, false),
        "delete" => (Method::DELETE, true),
        "deletecollection" => (Method::DELETE, false),
        "get" => (Method::GET, true),
        "list" | "watch" => (Method::GET, false),
        "patch" => (Method::PATCH, true),
        "update" => (Method::PUT, true),
        other => panic!("unknown verb {other}"),
    }
}

/// Resources and subresources of a group and version: the name, whether it has namespaces, and its verbs.
async fn published(f: &Fixture, root: &str) -> Vec<(String, bool, Vec<String>)> {
    let request = Request::get(root).body(Vec::new()).unwrap();
    let document: Value = f.client.request(request).await.unwrap();
    let resources = document["resources"].as_array().unwrap().iter();
    resources
        .map(|r| {
            let verbs = r["verbs"].as_array().unwrap().iter();
            let verbs = verbs.map(|verb| verb.as_str().unwrap().to_owned()).collect();
            (
                r["name"].as_str().unwrap().to_owned(),
                r["namespaced"] == true,
                verbs,
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_those_of_discovery() {
    let f = Fixture::new().await;
    let groups: Value = f
        .client
        .request(Request::get("/apis").body(Vec::new()).unwrap())
        .await
        .unwrap();
    let groups = groups["groups"].as_array().unwrap().iter();
    let versions = groups.flat_map(|group| group["versions"].as_array().unwrap());
    let mut roots: Vec<String> = versions
        .map(|v| format!("/apis/{}", v["groupVersion"].as_str().unwrap()))
        .collect();
    roots.push("/api/v1".to_owned());
    let all = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let mut refused = 0;
    for root in &roots {
        for (name, namespaced, verbs) in published(&f, root).await {
            let place = if namespaced {
                format!("{root}/namespaces/default")
            } else {
                root.clone()
            };
            let (plural, subresource) = name.split_once('/').unwrap_or((&name, ""));
            let is_subresource = !subresource.is_empty();
            for named in [false, true] {
                if is_subresource && !named {
                    continue;
                }
                let lists = verbs.iter().any(|verb| verb == "deletecollection");
                let patched = lists.then_some((Method::PATCH, false));
                let allowed = verbs.iter().map(|verb| method(verb)).chain(patched);
                let allowed: BTreeSet<String> = allowed
                    .filter(|(_, of_object)| *of_object == named)
                    .map(|(method, _)| method.to_string())
                    .collect();
                let path = match (named, is_subresource) {
                    (false, _) => format!("{place}/{plural}"),
                    (true, false) => format!("{place}/{plural}/nobody"),
                    (true, true) => format!("{place}/{plural}/nobody/{subresource}"),
                };
                for method in all.iter().filter(|method| !allowed.contains(method.as_str())) {
                    let response = send(&f, method, &path).await;
                    if allowed.is_empty() {
                        assert_eq!(response.status(), 404, "{method} {path}");
                        continue;
                    }
                    refused += 1;
                    assert_eq!(response.status(), 405, "{method} {path}");
                    let listed = response.headers()["allow"].to_str().unwrap();
                    let listed: BTreeSet<String> = listed.split(", ").map(str::to_owned).collect();
                    assert_eq!(listed, allowed, "{method} {path}");
                }
            }
        }
    }
    assert!(refused > 40, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_of_the_status_deletes_nothing() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let path = "/apis/example.dev/v1/namespaces/default/widgets/a/status";
    assert_eq!(send(&f, &Method::DELETE, path).await.status(), 405);
    let object = f.widgets().get("a").await.unwrap();
    assert_eq!(object.metadata.deletion_timestamp, None);
    f.widgets().delete("a", &DeleteParams::default()).await.unwrap();
}
