//! The nodes of a real cluster.

use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Limited};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::{Eviction as EvictionObject, PodDisruptionBudget};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config, ResourceExt as _};
use resources::{Secret, keys};
use serde_json::{Value, json};

use super::engine::{PodId, Readiness, budget_view, pod_view, readiness};
use super::error::NodeError;
use super::nodes::{Eviction, NodeOccupancy, Nodes, NodesConnector};

/// Longest wait for one answer.
const CALL: Duration = Duration::from_secs(20);
/// Longest answer of `/readyz`, bytes.
const READYZ: usize = 64 << 10;

/// Connects to real clusters.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubeNodesConnector;

impl NodesConnector for KubeNodesConnector {
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn Nodes>, NodeError>> {
        async move {
            // The parser's error would quote the file.
            let parsed = Kubeconfig::from_yaml(kubeconfig.reveal()).map_err(|_| NodeError::Kubeconfig)?;
            let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
                .await
                .map_err(|_| NodeError::Kubeconfig)?;
            config.connect_timeout = Some(Duration::from_secs(5));
            config.read_timeout = Some(CALL);
            config.write_timeout = Some(CALL);
            // The client would repeat what a budget refuses, which is a 429, and hide the reason meanwhile.
            config.default_retry = false;
            let client = Client::try_from(config.clone()).map_err(NodeError::Client)?;
            Ok(Box::new(KubeNodes { config, client }) as Box<dyn Nodes>)
        }
        .boxed()
    }
}

struct KubeNodes {
    config: Config,
    client: Client,
}

/// The answer to one call; `what` is for its error.
async fn limited<T>(
    what: impl Fn() -> String,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, NodeError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|source| NodeError::Call {
            what: what(),
            source: source.into(),
        }),
        Err(_) => Err(NodeError::Silent {
            what: what(),
            seconds: CALL.as_secs(),
        }),
    }
}

impl KubeNodes {
    async fn node(&self, name: &str) -> Result<Node, NodeError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = limited(|| format!("read node {name}"), api.get_opt(name)).await?;
        node.ok_or_else(|| NodeError::NoNode {
            node: name.to_owned(),
        })
    }

    /// Has a field manager of its own, so that taking the mark back leaves that of somebody else. The uid keeps the
    /// write from making a node that was deleted in the meantime anew.
    async fn mark(&self, name: &str, verb: &str, spec: Value) -> Result<(), NodeError> {
        let uid = self.node(name).await?.uid();
        let api: Api<Node> = Api::all(self.client.clone());
        let object = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": name, "uid": uid },
            "spec": spec,
        });
        let params = PatchParams::apply(keys::MANAGER_CORDON).force();
        let patch = Patch::Apply(&object);
        let write = api.patch(name, &params, &patch);
        limited(|| format!("{verb} node {name}"), write).await.map(drop)
    }
}

impl Nodes for KubeNodes {
    fn occupancy(&self, node: String) -> BoxFuture<'_, Result<NodeOccupancy, NodeError>> {
        async move {
            let seen = self.node(&node).await?;
            let pods: Api<Pod> = Api::all(self.client.clone());
            let bound = ListParams::default().fields(&format!("spec.nodeName={node}"));
            let pods = limited(|| format!("list the pods of node {node}"), pods.list(&bound)).await?;
            let budgets: Api<PodDisruptionBudget> = Api::all(self.client.clone());
            let all = ListParams::default();
            let budgets = limited(|| "list PodDisruptionBudgets".to_owned(), budgets.list(&all)).await?;
            let conditions = seen.status.and_then(|status| status.conditions);
            Ok(NodeOccupancy {
                cordoned: seen.spec.and_then(|spec| spec.unschedulable) == Some(true),
                ready: conditions
                    .into_iter()
                    .flatten()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
                pods: pods.iter().map(pod_view).collect(),
                budgets: budgets.iter().map(budget_view).collect(),
            })
        }
        .boxed()
    }

    fn cordon(&self, node: String) -> BoxFuture<'_, Result<(), NodeError>> {
        async move { self.mark(&node, "cordon", json!({ "unschedulable": true })).await }.boxed()
    }

    fn uncordon(&self, node: String) -> BoxFuture<'_, Result<(), NodeError>> {
        async move { self.mark(&node, "uncordon", json!({})).await }.boxed()
    }

    fn evict(&self, pod: PodId) -> BoxFuture<'_, Result<Eviction, NodeError>> {
        async move {
            let what = || format!("evict pod {pod}");
            // kube's own `evict` names the options wrongly, so the API would not see the uid.
            let object = EvictionObject {
                metadata: ObjectMeta {
                    name: Some(pod.name.clone()),
                    namespace: Some(pod.namespace.clone()),
                    ..ObjectMeta::default()
                },
                delete_options: Some(DeleteOptions {
                    preconditions: Some(Preconditions {
                        uid: Some(pod.uid.clone()),
                        ..Preconditions::default()
                    }),
                    ..DeleteOptions::default()
                }),
            };
            let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
            let params = PostParams::default();
            let call = api.create_subresource::<_, Status>("eviction", &pod.name, &params, &object);
            let answer = limited(what, async {
                match call.await {
                    Ok(_) => Ok(Eviction::Accepted),
                    Err(kube::Error::Api(status)) => refusal(&status).ok_or(kube::Error::Api(status)),
                    Err(error) => Err(error),
                }
            });
            answer.await
        }
        .boxed()
    }

    fn readiness(&self, server: SocketAddr) -> BoxFuture<'_, Result<Readiness, NodeError>> {
        async move {
            let what = || format!("ask the API server at {server} whether it is ready");
            let failed = |source| NodeError::Call { what: what(), source };
            let mut config = self.config.clone();
            config.cluster_url = format!("https://{server}")
                .parse()
                .map_err(|error: http::uri::InvalidUri| failed(error.into()))?;
            config.tls_server_name = None;
            let client = Client::try_from(config).map_err(NodeError::Client)?;
            let request = http::Request::get("/readyz?verbose")
                .body(Body::empty())
                .map_err(|error| failed(error.into()))?;
            let read = async {
                let answer = client.send(request).await.map_err(|error| failed(error.into()))?;
                let code = answer.status();
                let body = Limited::new(answer.into_body(), READYZ)
                    .collect()
                    .await
                    .map_err(failed)?;
                if code.is_client_error() {
                    return Err(failed(format!("it answers {code}").into()));
                }
                let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
                Ok(readiness(code.is_success(), &text))
            };
            match tokio::time::timeout(CALL, read).await {
                Ok(answer) => answer,
                Err(_) => Err(NodeError::Silent {
                    what: what(),
                    seconds: CALL.as_secs(),
                }),
            }
        }
        .boxed()
    }
}

/// What an error answer to an eviction means; none for one that is an error.
fn refusal(status: &Status) -> Option<Eviction> {
    let details = status.details.as_ref();
    let cause = |reason: &str| {
        let causes = details.into_iter().flat_map(|details| &details.causes);
        causes.into_iter().find(|cause| cause.reason == reason)
    };
    let reason = match status.code {
        // Its uid is another one.
        404 | 409 => return Some(Eviction::Gone),
        // Either a budget, or more requests than the server takes.
        429 => cause("DisruptionBudget").map_or(&status.message, |cause| &cause.message),
        403 => &cause("NamespaceTerminating")?.message,
        // More than one budget covers the pod. The API has no other sign of it than an internal error on this path.
        // A timeout: others changed the budget again and again.
        500 | 504 => &status.message,
        _ => return None,
    };
    let retry_after = details
        .map(|details| details.retry_after_seconds)
        .filter(|seconds| *seconds > 0)
        .map(|seconds| SignedDuration::from_secs(seconds.into()));
    Some(Eviction::Refused {
        reason: reason.clone(),
        retry_after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: Value) -> Option<Eviction> {
        refusal(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn answers_to_an_eviction() {
        let refused = |reason: &str, seconds: Option<i64>| {
            Some(Eviction::Refused {
                reason: reason.to_owned(),
                retry_after: seconds.map(SignedDuration::from_secs),
            })
        };
        let budget = json!({"code": 429, "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2"}]}});
        let unprocessed = json!({"code": 429, "message": "Cannot evict pod", "details": {"retryAfterSeconds": 10,
            "causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web is being processed"}]}});
        let busy = json!({"code": 429, "message": "Too many requests, please try again later."});
        let ending = json!({"code": 403, "message": "no", "details": {
            "causes": [{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated"}]}});
        let cases = [
            (budget, refused("The disruption budget web needs 2", None)),
            (
                unprocessed,
                refused("The disruption budget web is being processed", Some(10)),
            ),
            (busy, refused("Too many requests, please try again later.", None)),
            (ending, refused("namespace shop is being terminated", None)),
            (json!({"code": 403, "message": "not allowed"}), None),
            (
                json!({"code": 500, "message": "more than one"}),
                refused("more than one", None),
            ),
            (
                json!({"code": 504, "message": "conflicts"}),
                refused("conflicts", None),
            ),
            (json!({"code": 404}), Some(Eviction::Gone)),
            (json!({"code": 409}), Some(Eviction::Gone)),
            (json!({"code": 401}), None),
            (json!({"code": 422}), None),
        ];
        for (status, expected) in cases {
            assert_eq!(meaning(status.clone()), expected, "{status}");
        }
    }
}
