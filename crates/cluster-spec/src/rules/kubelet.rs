//! `kubeletConfiguration` of the control plane and of worker groups: fields that the kubelet knows, without those that make
//! its machine a member of the cluster.

mod fields;

use serde_json::{Value, json};

use self::fields::{FIELDS, Form};
use crate::bundle::ClusterBundle;
use crate::violation::Report;

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
const KIND: &str = "KubeletConfiguration";

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let network = &bundle.cluster.spec.cluster_network;
    let resolv_conf = network.dns.as_ref().and_then(|dns| dns.resolv_conf.as_ref());
    for group in bundle.groups() {
        let Some(config) = group.kubelet_configuration else {
            continue;
        };
        let path = format!("{}.kubeletConfiguration", group.path);
        let Some(fields) = config.as_object() else {
            report.add(path, "not an object", "write maxPods below it, for example");
            continue;
        };
        for (name, value) in fields {
            if let Err((message, next_step)) = field(name, value) {
                report.add(format!("{path}.{name}"), message, next_step);
            }
        }
        if fields.contains_key("resolvConf") && resolv_conf.is_some() {
            report.add(
                format!("{path}.resolvConf"),
                "spec.clusterNetwork.dns.resolvConf says it for all machines",
                "keep one of the two",
            );
        }
    }
}

fn field(name: &str, value: &Value) -> Result<(), (String, String)> {
    let is_identity = match name {
        "apiVersion" => Some(API_VERSION),
        "kind" => Some(KIND),
        _ => None,
    };
    if let Some(wanted) = is_identity {
        return match value == wanted {
            true => Ok(()),
            false => Err((
                format!("{value} is not the {name} of these fields"),
                format!("write {wanted}, or remove it"),
            )),
        };
    }
    let Some((_, form)) = FIELDS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        let near = names.iter().find(|known| known.eq_ignore_ascii_case(name));
        return Err((
            format!("{KIND} has no field {name:?}"),
            match near {
                Some(near) => format!("write {near}"),
                None => format!("remove it; the fields are {}", names.join(", ")),
            },
        ));
    };
    if let Some((only, why, next_step)) = own(name)
        && value != &only
    {
        return Err((why.to_owned(), next_step));
    }
    match form.fits(value) {
        true => Ok(()),
        false => Err((
            format!("{value} is not {}", form.name()),
            format!("write {}", form.name()),
        )),
    }
}

/// What a field must be where the cluster decides it, why, and the next step. Null where no value is right.
fn own(name: &str) -> Option<(Value, &'static str, String)> {
    let (only, why) = match name {
        "providerID" => (
            Value::Null,
            "the machine that is installed decides its providerID",
        ),
        "registerWithTaints" => (Value::Null, "taints of nodes have a field of their own"),
        "registerNode" => (
            json!(true),
            "a machine that registers no node never joins the cluster",
        ),
        "enableServer" => (
            json!(true),
            "the API server asks the kubelet for logs and metrics",
        ),
        "rotateCertificates" => (json!(true), "the kubelet's certificate ends after a year"),
        "cgroupDriver" => (
            json!("systemd"),
            "containerd of the node image uses systemd's cgroups",
        ),
        "clusterDomain" => (
            json!("cluster.local"),
            "the cluster's certificates and DNS are made for cluster.local",
        ),
        "staticPodPath" => (
            json!("/etc/kubernetes/manifests"),
            "kubeadm writes the pods of the control plane there",
        ),
        "containerRuntimeEndpoint" => (
            json!("unix:///run/containerd/containerd.sock"),
            "containerd of the node image listens there",
        ),
        "healthzPort" => (json!(10248), "kubeadm asks there whether the kubelet works"),
        "healthzBindAddress" => (json!("127.0.0.1"), "kubeadm asks there whether the kubelet works"),
        _ => return None,
    };
    let next_step = match (&only, name) {
        (Value::Null, "registerWithTaints") => "write taints in the group".to_owned(),
        (Value::Null, _) => "remove it".to_owned(),
        (only, _) => format!("remove it, or write {only}"),
    };
    Some((only, why, next_step))
}

impl Form {
    fn fits(self, value: &Value) -> bool {
        let texts = |value: &Value| {
            let fields = value.as_object();
            fields.is_some_and(|fields| fields.values().all(Value::is_string))
        };
        match self {
            Self::Text => value.is_string(),
            Self::Switch => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::List => value.is_array(),
            Self::Texts => texts(value),
            Self::Object => value.is_object(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Switch => "true or false, without quotes",
            Self::Number => "a number, without quotes",
            Self::List => "a list",
            Self::Texts => "a mapping to strings",
            Self::Object => "a mapping",
        }
    }
}
