//! What a client asks of the API, counted: a test can compare what the same change costs at sites of different sizes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;

/// Without a request or an answer for so long, whoever is counted is at rest.
const QUIET: Duration = Duration::from_secs(1);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Requests and bytes of answers so far, watches included. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: Mutex<BTreeMap<Request, u64>>,
    bytes: AtomicU64,
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Verb as Kubernetes' authorization has it: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: &'static str,
    /// Plural of the resource, with its subresource: `plans/status`.
    pub resource: String,
}

impl Request {
    fn of(method: &Method, uri: &http::Uri) -> Self {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        // /api/VERSION or /apis/GROUP/VERSION
        let version = if parts.next() == Some("api") { 0 } else { 1 };
        let mut parts = parts.skip(version + 1).peekable();
        let mut resource = parts.next().unwrap_or_default().to_owned();
        if resource == "namespaces" && parts.clone().count() > 1 {
            resource = parts.nth(1).unwrap_or_default().to_owned();
        }
        let named = parts.next().is_some();
        for part in parts {
            resource = format!("{resource}/{part}");
        }
        let query = uri.query().unwrap_or_default();
        let verb = match (method.as_str(), named) {
            ("GET", _) if query.split('&').any(|part| part == "watch=true") => "watch",
            ("GET", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "get",
        };
        Self { verb, resource }
    }
}

impl Traffic {
    /// Requests, and bytes of their answers.
    #[must_use]
    pub fn seen(&self) -> (u64, u64) {
        let requests = self.requests().values().sum();
        (requests, self.0.bytes.load(Ordering::SeqCst))
    }

    /// The same, once nothing is asked for or answered any more.
    pub async fn at_rest(&self) -> (u64, u64) {
        let mut last = self.seen();
        let quiet = async {
            loop {
                tokio::time::sleep(QUIET).await;
                let now = self.seen();
                if now == last {
                    return now;
                }
                last = now;
            }
        };
        let quiet = tokio::time::timeout(PATIENCE, quiet).await;
        quiet.unwrap_or_else(|_| panic!("the API is asked for ever: {:?}", self.requests()))
    }

    /// Requests by kind.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<Request, u64> {
        self.0.requests.lock().unwrap().clone()
    }

    /// A client that does what `client` does and is counted here.
    pub(crate) fn of(&self, client: Client) -> Client {
        let counts = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (client, counts) = (client.clone(), Arc::clone(&counts));
            let kind = Request::of(request.method(), request.uri());
            *counts.requests.lock().unwrap().entry(kind).or_default() += 1;
            async move {
                let response = client.send(request).await?;
                let counted = response.map(|body| {
                    body.map_frame(move |frame| {
                        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                        counts.bytes.fetch_add(length, Ordering::SeqCst);
                        frame
                    })
                });
                Ok::<_, kube::Error>(counted)
            }
        });
        Client::new(service, "default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        for (method, uri, verb, resource) in [
            (
                Method::GET,
                "/api/v1/namespaces/a/secrets?limit=5",
                "list",
                "secrets",
            ),
            (Method::GET, "/api/v1/secrets?watch=true&a=b", "watch", "secrets"),
            (Method::GET, "/api/v1/namespaces/a/secrets/b", "get", "secrets"),
            (Method::GET, "/api/v1/namespaces/a", "get", "namespaces"),
            (
                Method::GET,
                "/apis/gantry.dev/v1alpha1/releases",
                "list",
                "releases",
            ),
            (
                Method::POST,
                "/apis/gantry.dev/v1alpha1/namespaces/a/plans",
                "create",
                "plans",
            ),
            (
                Method::PATCH,
                "/apis/gantry.dev/v1alpha1/namespaces/a/plans/b/status?force=true",
                "patch",
                "plans/status",
            ),
            (
                Method::DELETE,
                "/apis/gantry.dev/v1alpha1/namespaces/a/plans/b",
                "delete",
                "plans",
            ),
        ] {
            let found = Request::of(&method, &uri.parse().unwrap());
            assert_eq!((found.verb, found.resource.as_str()), (verb, resource), "{uri}");
        }
    }
}
