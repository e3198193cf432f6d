//! MachineDeployments and MachineSets: what Cluster API's clients, such as an autoscaler or clusterctl, know worker groups by.
//!
//! A group has one MachineDeployment, below Cluster API's Cluster; each revision of which it has machines, or is to have them,
//! has a MachineSet, and Machines stand below the MachineSet of their revision. All of it follows from documents and machines,
//! but for `spec.replicas` of the MachineDeployment of a group with `autoscalingConfiguration`, which an autoscaler writes.

use std::collections::BTreeMap;

use cluster_spec::ClusterBundle;
use compare_and_set::Change;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use resources::cluster_api::{
    Machine, MachineDeployment, MachineDeploymentSpec, MachineSet, MachineSetSpec, MachineTemplate,
    TemplateMetadata, TemplateSpec,
};
use resources::gantry::MachineRole;
use resources::keys;
use serde_json::{Value, json};

use crate::access::Access;
use crate::error::Error;
use crate::observe::{Snapshot, Views};
use crate::plan::{Pool, Wanted};

/// Longest value of a label, which names of MachineSets are.
const LABEL: usize = 63;

type Labels = BTreeMap<String, String>;

/// Writes what is not as it should be, and takes away what is above no machine any more. Tells whether anything was written.
pub(crate) async fn make_worker_groups(
    access: &Access,
    views: &Views,
    snapshot: &Snapshot,
    wanted: &Wanted,
    bundle: &ClusterBundle,
) -> Result<bool, Error> {
    // The first plan makes it.
    let Some(capi) = &snapshot.capi else {
        return Ok(false);
    };
    let owner = OwnerReference {
        controller: None,
        block_owner_deletion: None,
        ..owner(&**capi)
    };
    let pools = wanted
        .pools
        .iter()
        .filter(|pool| pool.role == MachineRole::Worker);
    for pool in pools {
        let group = Group::new(access, views, snapshot, wanted, pool);
        if group.make_deployment(access, snapshot, bundle, &owner).await?
            || group.make_sets(access, snapshot).await?
        {
            return Ok(true);
        }
    }
    if drop_groups(access, snapshot, wanted).await? {
        return Ok(true);
    }
    for (name, machine) in &snapshot.machines {
        if adopt(access, snapshot, name, machine).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A worker group that is wanted.
struct Group<'a> {
    wanted: &'a Wanted,
    pool: &'a Pool,
    name: String,
}

impl<'a> Group<'a> {
    fn new(access: &Access, views: &Views, snapshot: &Snapshot, wanted: &'a Wanted, pool: &'a Pool) -> Self {
        let known = snapshot.deployment(&pool.name).map(|known| known.name_any());
        let name = known.unwrap_or_else(|| {
            let name = format!("{}-{}", wanted.name, pool.name);
            // Group a-0 of lab, and group 0 of lab-a.
            match views.deployments.get(&access.namespace, &name) {
                Some(other) if other.spec.cluster_name != wanted.name => {
                    format!("{}--{}", wanted.name, pool.name)
                }
                _ => name,
            }
        });
        Self { wanted, pool, name }
    }

    /// Labels of everything that belongs to the group.
    fn labels(&self) -> Labels {
        let labels = [
            (keys::CLUSTER_NAME, &self.wanted.name),
            (keys::DEPLOYMENT_NAME, &self.name),
            (keys::NODE_GROUP, &self.pool.name),
            (keys::POOL, &self.pool.name),
        ];
        let owned = labels.into_iter();
        owned
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect()
    }

    fn selector(&self) -> Labels {
        let mut labels = self.labels();
        labels.retain(|key, _| key == keys::CLUSTER_NAME || key == keys::DEPLOYMENT_NAME);
        labels
    }

    fn template(&self, labels: Labels, version: &str) -> MachineTemplate {
        MachineTemplate {
            metadata: TemplateMetadata { labels },
            spec: TemplateSpec {
                cluster_name: self.wanted.name.clone(),
                version: Some(version.to_owned()),
            },
        }
    }

    async fn make_deployment(
        &self,
        access: &Access,
        snapshot: &Snapshot,
        bundle: &ClusterBundle,
        owner: &OwnerReference,
    ) -> Result<bool, Error> {
        let known = snapshot.deployments.get(&self.name);
        let labels = self.labels();
        let mut groups = bundle.cluster.spec.worker_node_group_configurations.iter();
        let group = groups.find(|group| group.name.as_ref() == Some(&self.pool.name));
        let mut annotations = Labels::new();
        if let Some(bounds) = group.and_then(cluster_spec::autoscaling) {
            annotations.insert(keys::AUTOSCALER_MIN.to_owned(), bounds.start().to_string());
            annotations.insert(keys::AUTOSCALER_MAX.to_owned(), bounds.end().to_string());
        }
        let mut spec = MachineDeploymentSpec {
            cluster_name: self.wanted.name.clone(),
            replicas: known.and_then(|known| known.spec.replicas),
            selector: selecting(self.selector()),
            template: self.template(labels.clone(), &self.wanted.version),
        };
        let stands = known.is_some_and(|known| {
            let annotation = |key| known.annotations().get(key) == annotations.get(key);
            known.spec == spec
                && carries(&known.metadata, &labels, owner)
                && annotation(keys::AUTOSCALER_MIN)
                && annotation(keys::AUTOSCALER_MAX)
        });
        if !stands {
            // It is written by compare-and-set, because others write it too.
            spec.replicas = None;
            let object = json!({
                "metadata": { "labels": labels, "annotations": annotations, "ownerReferences": [owner] },
                "spec": spec,
            });
            access.apply::<MachineDeployment>(&self.name, object).await?;
            return Ok(true);
        }
        let replicas = number(self.pool.count);
        match known.filter(|known| known.spec.replicas != Some(replicas)) {
            Some(known) => {
                access.set(&**known, &["spec", "replicas"], &replicas).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// MachineSets of what is wanted now, and of what machines of the group are made of.
    async fn make_sets(&self, access: &Access, snapshot: &Snapshot) -> Result<bool, Error> {
        let Some(deployment) = snapshot.deployments.get(&self.name) else {
            return Ok(false);
        };
        let owner = owner(&**deployment);
        let current = self.pool.revision.as_str();
        let mut revisions = snapshot.revisions(&self.pool.name);
        revisions.insert(current);
        for revision in revisions {
            let known = snapshot.set(&self.pool.name, revision);
            let name = known.map_or_else(|| self.set_name(revision), |known| known.name_any());
            let (replicas, version) = if revision == current {
                (number(self.pool.count), Some(self.wanted.version.clone()))
            } else {
                (0, version_of(snapshot, &self.pool.name, revision))
            };
            let mut selector = self.selector();
            selector.insert(keys::SET_NAME.to_owned(), name.clone());
            let mut labels = self.labels();
            labels.insert(keys::SET_NAME.to_owned(), name.clone());
            let template = self.template(labels.clone(), &version.unwrap_or_default());
            labels.insert(keys::REVISION.to_owned(), revision.to_owned());
            let spec = MachineSetSpec {
                cluster_name: self.wanted.name.clone(),
                replicas: Some(replicas),
                selector: selecting(selector),
                template,
            };
            let stands =
                known.is_some_and(|known| known.spec == spec && carries(&known.metadata, &labels, &owner));
            if !stands {
                let metadata = json!({ "labels": labels, "ownerReferences": [owner] });
                let object = json!({ "metadata": metadata, "spec": spec });
                access.apply::<MachineSet>(&name, object).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Its revision at the end, as far as there is room for it.
    fn set_name(&self, revision: &str) -> String {
        let room = LABEL.saturating_sub(self.name.len()).saturating_sub(1);
        let revision: String = revision.chars().take(room).collect();
        format!("{}-{revision}", self.name)
    }
}

/// What is above no machine any more, and is not wanted: MachineSets of earlier revisions, and groups that were removed.
async fn drop_groups(access: &Access, snapshot: &Snapshot, wanted: &Wanted) -> Result<bool, Error> {
    let label = |object: &ObjectMeta, key: &str| {
        let labels = object.labels.as_ref();
        labels
            .and_then(|labels| labels.get(key).cloned())
            .unwrap_or_default()
    };
    let is_there = |meta: &ObjectMeta| meta.deletion_timestamp.is_none();
    for (name, set) in &snapshot.sets {
        let group = label(&set.metadata, keys::NODE_GROUP);
        let revision = label(&set.metadata, keys::REVISION);
        let is_wanted = wanted.pool(&group).is_some_and(|pool| pool.revision == revision);
        let is_used = snapshot.revisions(&group).contains(revision.as_str());
        if is_there(&set.metadata) && !is_wanted && !is_used {
            access.delete::<MachineSet>(name).await?;
            return Ok(true);
        }
    }
    for (name, deployment) in &snapshot.deployments {
        let group = label(&deployment.metadata, keys::NODE_GROUP);
        if !is_there(&deployment.metadata) || wanted.pool(&group).is_some() {
            continue;
        }
        if snapshot.of_group(&group).next().is_none() {
            access.delete::<MachineDeployment>(name).await?;
            return Ok(true);
        }
        if deployment.spec.replicas != Some(0) {
            access.set(&**deployment, &["spec", "replicas"], &0).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// What puts a new Machine below the MachineSet of its revision; nothing where there is none yet.
pub(super) fn below_set(snapshot: &Snapshot, pool: &Pool) -> (Labels, Vec<OwnerReference>) {
    match snapshot.set(&pool.name, &pool.revision) {
        Some(set) => (set.spec.template.metadata.labels.clone(), vec![owner(&**set)]),
        None => (Labels::new(), Vec::new()),
    }
}

/// Puts a worker below the MachineSet of its revision, where it is not: an object above it was made anew, or somebody has
/// taken a label away.
async fn adopt(access: &Access, snapshot: &Snapshot, name: &str, machine: &Machine) -> Result<bool, Error> {
    let revision = snapshot.provider_machines.get(name);
    let revision = revision.map(|provider| provider.spec.revision.as_str());
    let set = snapshot
        .pool_of(name)
        .zip(revision)
        .and_then(|(group, revision)| snapshot.set(group, revision));
    let Some(set) = set.filter(|_| snapshot.role(name) == MachineRole::Worker && !snapshot.is_going(name))
    else {
        return Ok(false);
    };
    let wanted = &set.spec.template.metadata.labels;
    let owner = owner(&**set);
    if carries(&machine.metadata, wanted, &owner) {
        return Ok(false);
    }
    let mut labels = machine.labels().clone();
    labels.extend(wanted.clone());
    let others = machine.owner_references().iter();
    let others = others.filter(|other| other.controller != Some(true)).cloned();
    let owners: Vec<OwnerReference> = others.chain([owner]).collect();
    let change = |field: &str, value: Value| Change::set(&["metadata", field], value);
    let changes = vec![
        change("labels", json!(labels)),
        change("ownerReferences", json!(owners)),
    ];
    access.change(machine, changes).await?;
    Ok(true)
}

fn owner<K: Resource<DynamicType = ()>>(object: &K) -> OwnerReference {
    object.controller_owner_ref(&()).unwrap_or_default()
}

fn carries(meta: &ObjectMeta, labels: &Labels, owner: &OwnerReference) -> bool {
    let known = meta.labels.as_ref();
    let mut owners = meta.owner_references.iter().flatten();
    labels
        .iter()
        .all(|(key, value)| known.and_then(|known| known.get(key)) == Some(value))
        && owners.any(|known| known == owner)
}

fn selecting(labels: Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}

/// The version that machines of an earlier revision were made with.
fn version_of(snapshot: &Snapshot, group: &str, revision: &str) -> Option<String> {
    let is_of = |name: &&String| {
        let provider = snapshot.provider_machines.get(*name);
        provider.is_some_and(|provider| provider.spec.revision == revision)
    };
    let mut machines = snapshot.of_group(group).filter(is_of);
    machines.find_map(|name| snapshot.machines.get(name)?.spec.version.clone())
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
