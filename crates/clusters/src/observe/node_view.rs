//! A node of a cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint as NodeTaint};
use kube::ResourceExt;
use resources::anywhere::Taint;

/// A node as far as the coordinator looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Name.
    pub name: String,
    /// Condition Ready.
    pub ready: bool,
    /// Why it is not.
    pub reason: Option<String>,
    /// Since when it is Ready or not, by the clock of its cluster.
    pub since: Option<Timestamp>,
    /// Identity of the machine.
    pub provider_id: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// When the Node was created, by the clock of its cluster.
    pub created: Option<Timestamp>,
}

impl NodeView {
    /// Of the object.
    pub(super) fn of(node: &Node) -> Self {
        let conditions = node
            .status
            .as_ref()
            .and_then(|status| status.conditions.clone())
            .unwrap_or_default();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        Self {
            name: node.name_any(),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            reason: ready.and_then(|condition| condition.message.clone()),
            since: ready.and_then(|condition| condition.last_transition_time.as_ref().map(|time| time.0)),
            provider_id: node.spec.as_ref().and_then(|spec| spec.provider_id.clone()),
            labels: node.labels().clone(),
            taints: taints.into_iter().flatten().map(taint).collect(),
            created: node.metadata.creation_timestamp.as_ref().map(|time| time.0),
        }
    }
}

fn taint(taint: &NodeTaint) -> Taint {
    Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect.clone(),
        time_added: taint.time_added.as_ref().map(|time| time.0.to_string()),
    }
}
