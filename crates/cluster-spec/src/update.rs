//! Changes of a cluster that has machines: which are carried out, which are refused, and the documents that are left
//! when the refused ones are put back.

mod fields;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::core::object::HasSpec;
use resources::anywhere::Cluster;
use resources::gantry::Release;
use resources::keys::{CONTROL_PLANE_VIP, KUBE_VIP_IMAGE, VRRP_ID};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::fields::{
    ANNOTATIONS, CLUSTER, DATACENTER, Decision, GROUPS, MACHINE_CONFIG, OIDC_CONFIG, Row, TEMPLATE,
    VSPHERE_DATACENTER, VSPHERE_MACHINE_CONFIG,
};
use self::versions::{Machines, Versions};
use crate::address_holder::{AddressHolder, KEEPALIVED, KUBE_VIP, address_holder, annotation_path};
use crate::bundle::{ClusterBundle, OIDC};
use crate::passes::passable;
use crate::violation::{Report, Violation};
use crate::virtual_site::{VSphereSite, VirtualSite};
use crate::vrrp::vrrp_id;

/// What becomes of a change of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeEffect {
    /// Machines that are made of the old value are replaced.
    NewMachines,
    /// It is carried out on the machines that there are.
    InPlace,
    /// None.
    None,
    /// It is refused.
    Refused,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// Path of the field.
    pub path: String,
    /// The old value as JSON, empty where there was none.
    pub old: String,
    /// The new value as JSON, empty where there is none.
    pub new: String,
    /// What becomes of it.
    pub effect: ChangeEffect,
}

/// A change of a cluster that has machines.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What is refused, by field.
    pub refused: Vec<Violation>,
    /// The wanted documents, with the old value in every field whose change is refused.
    pub effective: ClusterBundle,
    /// Every field that differs, refused or not.
    pub changed: Vec<FieldChange>,
}

/// Compares the wanted bundle with the one that its machines are made from. An upgrade may go through the minor versions of
/// which there are Releases.
#[must_use]
pub fn update(old: &ClusterBundle, new: &ClusterBundle, releases: &[Release]) -> Update {
    compared(old, new, releases, false)
}

/// The same, but what needs new machines keeps its old value too, though it is not refused.
#[must_use]
pub fn update_in_place(old: &ClusterBundle, new: &ClusterBundle, releases: &[Release]) -> Update {
    compared(old, new, releases, true)
}

fn compared(old: &ClusterBundle, new: &ClusterBundle, releases: &[Release], in_place: bool) -> Update {
    let mut refused = Vec::new();
    let mut changed = Vec::new();
    let same = old.cluster.spec.kubernetes_version == new.cluster.spec.kubernetes_version;
    let passable = match same {
        true => BTreeSet::new(),
        false => passable(new, releases),
    };
    let compare = |kind: &'static str, name: &str, rows| Comparison {
        cluster: old.name(),
        versions: Versions::new(old, new, passable.clone()),
        in_place,
        rows,
        report: Report::new(kind, name),
        changed: Vec::new(),
    };
    let mut keep = |comparison: Comparison| {
        changed.extend(comparison.changed);
        refused.extend(comparison.report.found);
    };
    let mut effective = new.clone();

    let mut cluster = compare("Cluster", &new.name(), CLUSTER);
    effective.cluster.spec = cluster.merged(&old.cluster.spec, &new.cluster.spec);
    cluster.annotations(&old.cluster, &mut effective.cluster);
    keep(cluster);

    effective.virtual_site = merged_site(&effective, old, new, &compare, &mut keep);
    // Another datacenter than before is refused as a reference; there is nothing to compare in it.
    if old.datacenter.name_any() == new.datacenter.name_any() {
        let mut datacenter = compare(
            "TinkerbellDatacenterConfig",
            &new.datacenter.name_any(),
            DATACENTER,
        );
        effective.datacenter.spec = datacenter.merged(&old.datacenter.spec, &new.datacenter.spec);
        keep(datacenter);
    } else {
        effective.datacenter = old.datacenter.clone();
    }

    effective.machine_configs = merged_documents(
        effective.referenced_machine_configs(),
        (&old.machine_configs, &new.machine_configs),
        |name| compare("TinkerbellMachineConfig", name, MACHINE_CONFIG),
        &mut keep,
    );
    effective.templates = merged_documents(
        effective.referenced_templates(),
        (&old.templates, &new.templates),
        |name| compare("TinkerbellTemplateConfig", name, TEMPLATE),
        &mut keep,
    );
    effective.oidc_configs = merged_documents(
        effective.referenced_oidc_configs(),
        (&old.oidc_configs, &new.oidc_configs),
        |name| compare(OIDC, name, OIDC_CONFIG),
        &mut keep,
    );
    Update {
        refused,
        effective,
        changed,
    }
}

/// The documents of virtual machines. Another datacenter than before is refused as a reference.
fn merged_site(
    effective: &ClusterBundle,
    old: &ClusterBundle,
    new: &ClusterBundle,
    compare: &impl Fn(&'static str, &str, &'static [Row]) -> Comparison,
    keep: &mut impl FnMut(Comparison),
) -> Option<VirtualSite> {
    let (known, wanted) = match (&old.virtual_site, &new.virtual_site) {
        (Some(VirtualSite::VSphere(known)), Some(VirtualSite::VSphere(wanted)))
            if known.datacenter.name_any() == wanted.datacenter.name_any() =>
        {
            (known, wanted)
        }
        // A Docker daemon's has no field.
        (known, _) => return known.clone(),
    };
    let name = wanted.datacenter.name_any();
    let mut datacenter = wanted.datacenter.clone();
    let mut comparison = compare("VSphereDatacenterConfig", &name, VSPHERE_DATACENTER);
    datacenter.spec = comparison.merged(&known.datacenter.spec, &wanted.datacenter.spec);
    keep(comparison);
    let machine_configs = merged_documents(
        effective.referenced_machine_configs(),
        (&known.machine_configs, &wanted.machine_configs),
        |name| compare("VSphereMachineConfig", name, VSPHERE_MACHINE_CONFIG),
        keep,
    );
    Some(VirtualSite::VSphere(Box::new(VSphereSite {
        datacenter,
        machine_configs,
    })))
}

/// The documents of these names, each as it is wanted, else as it was, with the old value in every refused field.
fn merged_documents<K>(
    names: Vec<String>,
    (old, new): (&BTreeMap<String, K>, &BTreeMap<String, K>),
    compare: impl Fn(&str) -> Comparison,
    keep: &mut impl FnMut(Comparison),
) -> BTreeMap<String, K>
where
    K: HasSpec + Clone,
    K::Spec: Serialize + DeserializeOwned + Clone,
{
    let mut merged = BTreeMap::new();
    for name in names {
        let known = old.get(&name);
        let Some(mut document) = new.get(&name).or(known).cloned() else {
            continue;
        };
        if let Some(known) = known {
            let mut comparison = compare(&name);
            *document.spec_mut() = comparison.merged(known.spec(), document.spec());
            keep(comparison);
        }
        merged.insert(name, document);
    }
    merged
}

/// What of the wanted bundle is refused, compared with the one that its machines are made from.
#[must_use]
pub fn check_update(old: &ClusterBundle, new: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    update(old, new, releases).refused
}

/// Whether machines are made from an annotation with this key.
pub(crate) fn is_made_from(key: &str) -> bool {
    ANNOTATIONS.iter().any(|(known, _)| *known == key)
}

/// What an annotation makes of the machines of a cluster; null where it makes nothing.
fn annotation(cluster: &Cluster, key: &str) -> Value {
    match (key, address_holder(cluster)) {
        (VRRP_ID, AddressHolder::Keepalived) => vrrp_id(cluster).into(),
        (CONTROL_PLANE_VIP, AddressHolder::Keepalived) => KEEPALIVED.into(),
        (CONTROL_PLANE_VIP, AddressHolder::KubeVip { .. }) => KUBE_VIP.into(),
        (KUBE_VIP_IMAGE, AddressHolder::KubeVip { image }) => image.into(),
        _ => Value::Null,
    }
}

/// Two specs of one object.
struct Comparison {
    cluster: String,
    versions: Versions,
    /// What needs new machines keeps its old value.
    in_place: bool,
    rows: &'static [Row],
    report: Report,
    changed: Vec<FieldChange>,
}

impl Comparison {
    /// The new spec with the old value in every refused field.
    fn merged<T: Serialize + DeserializeOwned + Clone>(&mut self, old: &T, new: &T) -> T {
        let json = |spec: &T| serde_json::to_value(spec).unwrap_or_default();
        let merged = self.field("spec", "spec", &json(old), &json(new));
        // Both came from such a value; what is made of their fields can be read back.
        serde_json::from_value(merged).unwrap_or_else(|_| old.clone())
    }

    /// The annotations that machines are made from like fields.
    fn annotations(&mut self, old: &Cluster, effective: &mut Cluster) {
        let restore = |effective: &mut Cluster, key: &str| match old.annotations().get(key) {
            Some(known) => effective.annotations_mut().insert(key.to_owned(), known.clone()),
            None => effective.annotations_mut().remove(key),
        };
        for (key, decision) in ANNOTATIONS {
            let (before, after) = (annotation(old, key), annotation(effective, key));
            if before == after {
                continue;
            }
            let counts = self.decide(*decision, &annotation_path(key), &before, &after);
            if *decision == Decision::Fixed {
                // What goes with a value that is refused is of no use with the old one.
                for (key, _) in ANNOTATIONS {
                    restore(effective, key);
                }
            } else if counts == before {
                restore(effective, key);
            }
        }
    }

    /// `pattern` is the path as rows write it, `path` as people read it. Null is an absent field.
    fn field(&mut self, pattern: &str, path: &str, old: &Value, new: &Value) -> Value {
        if old == new {
            return new.clone();
        }
        if let Some((_, decision)) = self.rows.iter().find(|(row, _)| *row == pattern) {
            return self.decide(*decision, path, old, new);
        }
        if pattern == GROUPS {
            return self.groups(old, new);
        }
        let fields = |value: &Value| match value {
            Value::Null => Some(Map::new()),
            other => other.as_object().cloned(),
        };
        let (Some(known), Some(wanted)) = (fields(old), fields(new)) else {
            return self.decide(Decision::NotCarriedOut, path, old, new);
        };
        let mut names: Vec<&String> = known.keys().chain(wanted.keys()).collect();
        names.sort();
        names.dedup();
        let value = |fields: &Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or_default();
        names
            .into_iter()
            .map(|name| {
                let (before, after) = (value(&known, name), value(&wanted, name));
                let merged = self.field(
                    &format!("{pattern}.{name}"),
                    &format!("{path}.{name}"),
                    &before,
                    &after,
                );
                (name.clone(), merged)
            })
            .filter(|(_, value)| !value.is_null())
            .collect::<Map<_, _>>()
            .into()
    }

    /// Worker groups, each compared with the one of its name; others are added or removed.
    fn groups(&mut self, old: &Value, new: &Value) -> Value {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (known, wanted) = (list(old), list(new));
        let merged = wanted.iter().enumerate().map(|(at, group)| {
            let before = known
                .iter()
                .find(|before| before.get("name") == group.get("name"));
            let path = format!("{GROUPS}[{at}]");
            match before {
                Some(before) => self.field(&format!("{GROUPS}[]"), &path, before, group),
                None => {
                    let name = group.get("name").cloned().unwrap_or_default();
                    self.note(
                        &format!("{path}.name"),
                        &Value::Null,
                        &name,
                        ChangeEffect::InPlace,
                    );
                    group.clone()
                }
            }
        });
        merged.collect::<Vec<_>>().into()
    }

    fn note(&mut self, path: &str, old: &Value, new: &Value, effect: ChangeEffect) {
        let json = |value: &Value| match value {
            Value::Null => String::new(),
            other => other.to_string(),
        };
        self.changed.push(FieldChange {
            kind: self.report.kind(),
            name: self.report.name().to_owned(),
            path: path.to_owned(),
            old: json(old),
            new: json(new),
            effect,
        });
    }

    /// The value that counts: the new one when its change is accepted.
    fn decide(&mut self, decision: Decision, path: &str, old: &Value, new: &Value) -> Value {
        let version = match decision {
            Decision::Version => Some(self.versions.of_cluster(old, new)),
            Decision::GroupVersion => Some(self.versions.of_group(old, new)),
            _ => None,
        };
        let effect = match (decision, &version) {
            (Decision::RollsOut, _) => ChangeEffect::NewMachines,
            (_, Some(Ok(Machines::Replaced))) => ChangeEffect::NewMachines,
            (_, Some(Ok(Machines::Stay))) => ChangeEffect::None,
            (Decision::CarriedOut, _) => ChangeEffect::InPlace,
            (Decision::NoEffect, _) => ChangeEffect::None,
            _ => ChangeEffect::Refused,
        };
        self.note(path, old, new, effect);
        if effect == ChangeEffect::NewMachines && self.in_place {
            return old.clone();
        }
        if effect != ChangeEffect::Refused {
            return new.clone();
        }
        let cluster = &self.cluster;
        let back = || "put the old value back, or delete the cluster and create it anew".to_owned();
        let (message, next_step) = match (version, decision) {
            (Some(Err(why)), _) => why,
            (_, Decision::Fixed) => (
                format!(
                    "the field cannot change: cluster {cluster} has machines that are made from the old value"
                ),
                back(),
            ),
            _ => (
                format!(
                    "this version does not carry the change out: cluster {cluster} has machines that are made from the \
                     old value"
                ),
                back(),
            ),
        };
        self.report.add(path, message, next_step);
        old.clone()
    }
}
