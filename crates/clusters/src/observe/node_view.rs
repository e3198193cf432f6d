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
    /// Internal address.
    pub address: Option<String>,
    /// UUID that the firmware of the machine tells.
    pub system_uuid: Option<String>,
    /// Version of the kubelet, such as `v1.35.4`.
    pub kubelet_version: Option<String>,
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
        let status = node.status.as_ref();
        let info = status.and_then(|status| status.node_info.as_ref());
        let addresses = status.and_then(|status| status.addresses.as_deref());
        let mut internal = addresses
            .unwrap_or_default()
            .iter()
            .filter(|address| address.type_ == "InternalIP");
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        Self {
            name: node.name_any(),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            reason: ready.and_then(|condition| condition.message.clone()),
            since: ready.and_then(|condition| condition.last_transition_time.as_ref().map(|time| time.0)),
            provider_id: node.spec.as_ref().and_then(|spec| spec.provider_id.clone()),
            address: internal.next().map(|address| address.address.clone()),
            system_uuid: info.and_then(|info| given(&info.system_uuid)),
            kubelet_version: info.and_then(|info| given(&info.kubelet_version)),
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
