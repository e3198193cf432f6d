//! Cilium as the documents of a cluster ask for it, and what that means as values of its Helm chart.

use resources::anywhere::Cluster;
use resources::gantry::{ReleaseChart, ReleaseSpec};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Name of the CNI, and of its chart in a Release.
pub(crate) const CILIUM: &str = "cilium";
/// Components of a Release that nodes pull for it.
pub(crate) const AGENT: &str = "cilium";
pub(crate) const OPERATOR: &str = "operator-generic";
/// The chart adds it to the repository of the operator's image.
const OPERATOR_SUFFIX: &str = "-generic";

/// What the documents say of Cilium.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cilium {
    /// `default`, `always` or `never`.
    pub policy_enforcement_mode: Option<String>,
    /// Interfaces whose traffic gets the node's address.
    pub egress_masquerade_interfaces: Option<String>,
    /// Nobody but the user upgrades it.
    pub skip_upgrade: bool,
    /// Packets go between nodes as they are, without a tunnel.
    pub direct_routing: bool,
    /// Range whose addresses are routed as they are.
    pub ipv4_native_routing_cidr: Option<String>,
    /// The same for IPv6.
    pub ipv6_native_routing_cidr: Option<String>,
    /// Whether it removes the configuration of other CNIs from the nodes.
    pub exclusive: Option<bool>,
    /// The user's own values of the chart.
    pub helm_values: Map<String, Value>,
}

/// What a cluster says of Cilium, by fields that [`validate`](crate::validate) has nothing against; `None` where it has another
/// CNI.
#[must_use]
pub fn cilium(cluster: &Cluster) -> Option<Cilium> {
    let network = &cluster.spec.cluster_network;
    let own = network
        .cni_config
        .as_ref()
        .and_then(|config| config.cilium.as_ref());
    let empty = json!({});
    let fields = match (own, network.cni.as_deref()) {
        (Some(own), _) => own,
        (None, Some(CILIUM)) => &empty,
        _ => return None,
    };
    let text = |name: &str| {
        let value = fields.get(name).and_then(Value::as_str);
        value.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
    Some(Cilium {
        policy_enforcement_mode: text("policyEnforcementMode"),
        egress_masquerade_interfaces: text("egressMasqueradeInterfaces"),
        skip_upgrade: flag("skipUpgrade").unwrap_or_default(),
        direct_routing: text("routingMode").as_deref() == Some("direct"),
        ipv4_native_routing_cidr: text("ipv4NativeRoutingCIDR"),
        ipv6_native_routing_cidr: text("ipv6NativeRoutingCIDR"),
        exclusive: flag("cniExclusive"),
        helm_values: fields
            .get("helmValues")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    })
}

/// The chart of Cilium that a Release has.
#[must_use]
pub fn cilium_chart(release: &ReleaseSpec) -> Option<&ReleaseChart> {
    release.charts.iter().find(|chart| chart.name == CILIUM)
}

impl Cilium {
    /// Values of the chart: what EKS Anywhere sets, what the fields mean, and above both the user's own. `defaults` are the
    /// chart's: an image that the Release names and the chart has too keeps the digest that the chart has for it.
    #[must_use]
    pub fn values(
        &self,
        release: &ReleaseSpec,
        defaults: &Map<String, Value>,
        machines: usize,
    ) -> Map<String, Value> {
        let mut values = json!({
            "cni": { "chainingMode": "portmap" },
            "ipam": { "mode": "kubernetes" },
            "identityAllocationMode": "crd",
            "prometheus": { "enabled": true },
            "rollOutCiliumPods": true,
            "routingMode": "tunnel",
            "tunnelProtocol": "geneve",
            "operator": { "prometheus": { "enabled": true } },
            "envoy": { "enabled": false },
        });
        if machines == 1 {
            // The two of the chart's default are never on one node.
            values["operator"]["replicas"] = json!(1);
        }
        for (component, place) in [(AGENT, "/image"), (OPERATOR, "/operator/image")] {
            let image = release.components.iter().find(|known| known.name == component);
            let of_chart = pointer(defaults, place);
            let own = image.and_then(|image| {
                own_image(
                    &image.image,
                    image.digest.map(|digest| digest.to_string()),
                    of_chart,
                )
            });
            if let Some(own) = own {
                let at = if component == AGENT {
                    &mut values
                } else {
                    &mut values["operator"]
                };
                at["image"] = own;
            }
        }
        if let Some(mode) = &self.policy_enforcement_mode {
            values["policyEnforcementMode"] = json!(mode);
        }
        if let Some(interfaces) = &self.egress_masquerade_interfaces {
            values["egressMasqueradeInterfaces"] = json!(interfaces);
        }
        if let Some(exclusive) = self.exclusive {
            values["cni"]["exclusive"] = json!(exclusive);
        }
        if self.direct_routing {
            values["routingMode"] = json!("native");
            values["autoDirectNodeRoutes"] = json!(true);
            for (name, range) in [
                ("ipv4NativeRoutingCIDR", &self.ipv4_native_routing_cidr),
                ("ipv6NativeRoutingCIDR", &self.ipv6_native_routing_cidr),
            ] {
                if let Some(range) = range {
                    values[name] = json!(range);
                }
            }
        }
        let mut values = match values {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        put_above(&mut values, &self.helm_values);
        values
    }

    /// What makes pods of kube-system reachable where every pod is closed: EKS Anywhere adds it too.
    #[must_use]
    pub fn policies(&self) -> Vec<Value> {
        if self.policy_enforcement_mode.as_deref() != Some("always") {
            return Vec::new();
        }
        let open = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": "allow-all", "namespace": "kube-system" },
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{}],
                "egress": [{}],
            },
        });
        vec![open]
    }
}

fn pointer<'a>(values: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_start_matches('/'), ""));
    let value = values.get(first)?;
    if rest.is_empty() {
        Some(value)
    } else {
        value.get(rest)
    }
}

/// The fields of an image, unless the chart has the same one.
fn own_image(image: &str, digest: Option<String>, of_chart: Option<&Value>) -> Option<Value> {
    let name = image.split('@').next().unwrap_or(image);
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    };
    let of = |field: &str| {
        of_chart
            .and_then(|image| image.get(field))
            .and_then(Value::as_str)
    };
    let suffix = if repository.ends_with(OPERATOR_SUFFIX) && of("suffix").is_some() {
        OPERATOR_SUFFIX
    } else {
        ""
    };
    let repository = repository.strip_suffix(suffix).unwrap_or(repository);
    if of("repository") == Some(repository) && of("tag") == Some(tag) && digest.is_none() {
        return None;
    }
    let mut own = json!({ "repository": repository, "tag": tag, "useDigest": digest.is_some() });
    if let Some(digest) = digest {
        let field = if suffix.is_empty() {
            "digest"
        } else {
            "genericDigest"
        };
        own[field] = json!(digest);
    }
    Some(own)
}

/// A dict goes into a dict; everything else takes the place of what is there, null too: it takes a value of the chart away.
fn put_above(values: &mut Map<String, Value>, above: &Map<String, Value>) {
    for (key, value) in above {
        match (values.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(above)) => put_above(own, above),
            _ => {
                values.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use resources::gantry::ComponentImage;

    use super::*;

    fn of(fields: Value) -> Cilium {
        let mut cluster = Cluster::new("shed", resources::anywhere::ClusterSpec::default());
        cluster.spec.cluster_network.cni_config = Some(resources::anywhere::CniConfig {
            cilium: Some(fields),
            ..Default::default()
        });
        cilium(&cluster).unwrap()
    }

    fn values(fields: Value) -> Value {
        Value::Object(of(fields).values(&ReleaseSpec::default(), &Map::new(), 3))
    }

    #[test]
    fn the_old_spelling_means_the_same() {
        let mut cluster = Cluster::new("shed", resources::anywhere::ClusterSpec::default());
        assert_eq!(cilium(&cluster), None);
        cluster.spec.cluster_network.cni = Some("cilium".to_owned());
        assert_eq!(cilium(&cluster), Some(of(json!({}))));
    }

    #[test]
    fn fields_become_values_and_the_users_own_are_above() {
        let plain = values(json!({}));
        assert_eq!(
            (&plain["routingMode"], &plain["tunnelProtocol"]),
            (&json!("tunnel"), &json!("geneve"))
        );
        assert_eq!(plain["envoy"]["enabled"], json!(false));
        assert_eq!(plain["operator"]["replicas"], Value::Null);
        for (fields, place, wanted) in [
            (
                json!({ "policyEnforcementMode": "always" }),
                "/policyEnforcementMode",
                json!("always"),
            ),
            (
                json!({ "egressMasqueradeInterfaces": "eth0" }),
                "/egressMasqueradeInterfaces",
                json!("eth0"),
            ),
            (json!({ "cniExclusive": false }), "/cni/exclusive", json!(false)),
            (
                json!({ "routingMode": "overlay" }),
                "/routingMode",
                json!("tunnel"),
            ),
            (
                json!({ "routingMode": "direct" }),
                "/routingMode",
                json!("native"),
            ),
            (
                json!({ "routingMode": "direct" }),
                "/autoDirectNodeRoutes",
                json!(true),
            ),
            (
                json!({ "routingMode": "direct", "ipv4NativeRoutingCIDR": "10.0.0.0/8" }),
                "/ipv4NativeRoutingCIDR",
                json!("10.0.0.0/8"),
            ),
            (
                json!({ "helmValues": { "cni": { "chainingMode": "none" } } }),
                "/cni/chainingMode",
                json!("none"),
            ),
            (json!({ "helmValues": { "envoy": null } }), "/envoy", Value::Null),
            (
                json!({ "helmValues": { "operator": { "replicas": 2 } } }),
                "/operator/prometheus/enabled",
                json!(true),
            ),
        ] {
            let found = values(fields.clone());
            assert_eq!(found.pointer(place), Some(&wanted), "{fields} {place}");
        }
        let one = of(json!({})).values(&ReleaseSpec::default(), &Map::new(), 1);
        assert_eq!(one["operator"]["replicas"], json!(1));
    }

    #[test]
    fn images_of_the_release_take_the_place_of_others() {
        let component = |name: &str, image: &str| ComponentImage {
            name: name.to_owned(),
            image: image.to_owned(),
            digest: None,
        };
        let release = ReleaseSpec {
            components: vec![
                component("cilium", "quay.io/cilium/cilium:v1.19.4"),
                component("operator-generic", "mirror:5000/cilium/operator-generic:v2"),
            ],
            ..ReleaseSpec::default()
        };
        let defaults = json!({
            "image": { "repository": "quay.io/cilium/cilium", "tag": "v1.19.4", "useDigest": true, "digest": "sha256:1" },
            "operator": { "image": { "repository": "quay.io/cilium/operator", "tag": "v1.19.4", "suffix": "" } },
        });
        let values = of(json!({})).values(&release, defaults.as_object().unwrap(), 3);
        assert_eq!(values.get("image"), None, "the chart has it with its digest");
        assert_eq!(
            values["operator"]["image"],
            json!({ "repository": "mirror:5000/cilium/operator", "tag": "v2", "useDigest": false })
        );
    }

    #[test]
    fn closed_pods_leave_the_system_open() {
        assert!(of(json!({})).policies().is_empty());
        let policies = of(json!({ "policyEnforcementMode": "always" })).policies();
        assert_eq!(policies[0]["metadata"]["namespace"], "kube-system");
    }
}
