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
use serde::Serialize;
use serde_json::{Value, json};

use crate::access::{Access, Kind};
use crate::error::Error;
use crate::observe::{Snapshot, Views};
use crate::plan::{LABEL, Pool, Wanted, object_name};

/// Characters of a revision, which the names of MachineSets end in; the whole is the value of a label, too.
const REVISION: usize = 12;

type Labels = BTreeMap<String, String>;
/// Annotations that are to have a value, or not to be there; others are nobody's business here.
type Annotations = BTreeMap<&'static str, Option<String>>;

/// Writes what is not as it should be, and takes away what is above no machine any more. Tells whether anything was written.
pub(crate) async fn make_worker_groups(
    access: &Access,
    views: &Views,
    snapshot: &Snapshot,
    wanted: &Wanted,
    bundle: &ClusterBundle,
) -> Result<bool, Error> {
    // The first plan makes it.
    let Some(capi) = snapshot.capi.as_ref().filter(|capi| stays(&capi.metadata)) else {
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
        if group
            .make_deployment(access, snapshot, bundle, owner.clone())
            .await?
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
            let short = |name: String| object_name(&name, LABEL - 1 - REVISION);
            let name = short(format!("{}-{}", wanted.name, pool.name));
            // Group a-0 of lab, and group 0 of lab-a.
            match views.deployments.get(&access.namespace, &name) {
                Some(other) if other.spec.cluster_name != wanted.name => {
                    short(format!("{}--{}", wanted.name, pool.name))
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
        owner: OwnerReference,
    ) -> Result<bool, Error> {
        let known = snapshot.deployments.get(&self.name);
        let labels = self.labels();
        let spec = MachineDeploymentSpec {
            cluster_name: self.wanted.name.clone(),
            replicas: Some(number(self.pool.count)),
            selector: selecting(self.selector()),
            template: self.template(labels.clone(), &self.pool.version),
        };
        let above = Above {
            labels,
            annotations: self.annotations(snapshot, bundle),
            owner,
        };
        let same = known.is_some_and(|known| known.spec == spec);
        write(
            access,
            &self.name,
            known.map(|known| &**known),
            above,
            (&spec, same),
        )
        .await
    }

    /// What an autoscaler goes by: bounds and, so that it can begin with no machine at all, what a new machine is like.
    fn annotations(&self, snapshot: &Snapshot, bundle: &ClusterBundle) -> Annotations {
        let mut groups = bundle.cluster.spec.worker_node_group_configurations.iter();
        let group = groups.find(|group| group.name.as_ref() == Some(&self.pool.name));
        let Some(bounds) = group.and_then(cluster_spec::autoscaling) else {
            return [(keys::AUTOSCALER_MIN, None), (keys::AUTOSCALER_MAX, None)].into();
        };
        let provider = snapshot.provider_cluster.as_ref();
        let status = provider.and_then(|provider| provider.status.as_ref());
        let mut hosts = status.into_iter().flat_map(|status| &status.pools);
        let hosts = hosts.find(|hosts| hosts.name == self.pool.name);
        let capacity = hosts.and_then(|hosts| hosts.capacity);
        let [labels, taints] = self.labels_and_taints(snapshot);
        let mut known = Annotations::from([
            (keys::AUTOSCALER_MIN, Some(bounds.start().to_string())),
            (keys::AUTOSCALER_MAX, Some(bounds.end().to_string())),
            (
                keys::CAPACITY_CPU,
                capacity.map(|capacity| capacity.cpus.to_string()),
            ),
            (
                keys::CAPACITY_MEMORY,
                capacity.map(|capacity| capacity.memory.to_string()),
            ),
        ]);
        // What is not known here a person may know.
        known.retain(|_, value| value.is_some());
        known.extend(labels.map(|labels| (keys::CAPACITY_LABELS, labels)));
        known.extend(taints.map(|taints| (keys::CAPACITY_TAINTS, taints)));
        known
    }

    /// Labels and taints of a new node for an autoscaler; an annotation without a value goes. One is left alone where the
    /// documents name none and named none before, because a person may have written it.
    fn labels_and_taints(&self, snapshot: &Snapshot) -> [Option<Option<String>>; 2] {
        let recorded = snapshot.control_plane.as_ref();
        let recorded = recorded.and_then(|known| known.spec.node_keys.get(&self.pool.name));
        let named = recorded.is_some_and(|keys| !keys.labels.is_empty());
        let labels = self.pool.labels.iter();
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        let tainted = recorded.is_some_and(|keys| !keys.taints.is_empty());
        let taints = self.pool.taints.iter().flatten().map(|taint| {
            let value = taint.value.as_deref().unwrap_or_default();
            format!("{}={value}:{}", taint.key, taint.effect)
        });
        let taints: Vec<String> = taints.collect();
        let list = |all: Vec<String>, named: bool| match all.is_empty() {
            true => named.then_some(None),
            false => Some(Some(all.join(","))),
        };
        [list(labels, named), list(taints, tainted)]
    }

    /// MachineSets of what is wanted now, and of what machines of the group are made of.
    async fn make_sets(&self, access: &Access, snapshot: &Snapshot) -> Result<bool, Error> {
        let known = snapshot.deployments.get(&self.name);
        let Some(deployment) = known.filter(|known| stays(&known.metadata)) else {
            return Ok(false);
        };
        let current = self.pool.revision.as_str();
        let mut revisions = snapshot.revisions(&self.pool.name);
        revisions.insert(current);
        for revision in revisions {
            let known = snapshot.set(&self.pool.name, revision);
            let name = known.map_or_else(|| self.set_name(revision), |known| known.name_any());
            let (replicas, version) = if revision == current {
                (number(self.pool.count), Some(self.pool.version.clone()))
            } else {
                (0, version_of(snapshot, &self.pool.name, revision))
            };
            let mut selector = self.selector();
            selector.insert(keys::SET_NAME.to_owned(), name.clone());
            let mut labels = self.labels();
            labels.insert(keys::SET_NAME.to_owned(), name.clone());
            let spec = MachineSetSpec {
                cluster_name: self.wanted.name.clone(),
                replicas: Some(replicas),
                selector: selecting(selector),
                template: self.template(labels.clone(), &version.unwrap_or_default()),
            };
            labels.insert(keys::REVISION.to_owned(), revision.to_owned());
            let above = Above {
                labels,
                annotations: Annotations::new(),
                owner: owner(&**deployment),
            };
            let same = known.is_some_and(|known| known.spec == spec);
            if write(access, &name, known.map(|known| &**known), above, (&spec, same)).await? {
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
    for (name, set) in &snapshot.sets {
        let group = label(&set.metadata, keys::NODE_GROUP);
        let revision = label(&set.metadata, keys::REVISION);
        let is_wanted = wanted.pool(&group).is_some_and(|pool| pool.revision == revision);
        let is_used = snapshot.revisions(&group).contains(revision.as_str());
        if stays(&set.metadata) && !is_wanted && !is_used {
            access.delete::<MachineSet>(name).await?;
            return Ok(true);
        }
    }
    for (name, deployment) in &snapshot.deployments {
        let group = label(&deployment.metadata, keys::NODE_GROUP);
        if !stays(&deployment.metadata) || wanted.pool(&group).is_some() {
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
        Some(set) if stays(&set.metadata) => (set.spec.template.metadata.labels.clone(), vec![owner(&**set)]),
        _ => (Labels::new(), Vec::new()),
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
    let may_adopt = snapshot.role(name) == MachineRole::Worker && !snapshot.is_going(name);
    let Some(set) = set.filter(|set| may_adopt && stays(&set.metadata)) else {
        return Ok(false);
    };
    let wanted = &set.spec.template.metadata.labels;
    let owner = owner(&**set);
    if carries(&machine.metadata, wanted, &owner) {
        return Ok(false);
    }
    // A Machine may be seen without its owner before the owner is seen to go.
    let now = access.get::<MachineSet>(&set.name_any()).await?;
    if !now.is_some_and(|now| now.uid() == set.uid() && stays(&now.metadata)) {
        return Ok(false);
    }
    access
        .change(machine, metadata(&machine.metadata, wanted, owner))
        .await?;
    Ok(true)
}

/// Metadata of an object above machines.
struct Above {
    labels: Labels,
    annotations: Annotations,
    owner: OwnerReference,
}

impl Above {
    fn stands(&self, meta: &ObjectMeta) -> bool {
        let known = meta.annotations.as_ref();
        let mut annotations = self.annotations.iter();
        let same = annotations.all(|(key, value)| known.and_then(|known| known.get(*key)) == value.as_ref());
        same && carries(meta, &self.labels, &self.owner)
    }
}

/// Makes an object, or changes one that is not as it should be. Tells whether anything was written. A change is made by
/// compare-and-set, because others write to such an object too.
async fn write<K: Kind>(
    access: &Access,
    name: &str,
    known: Option<&K>,
    above: Above,
    (spec, same): (&impl Serialize, bool),
) -> Result<bool, Error> {
    let Some(known) = known else {
        let annotations = above.annotations.iter();
        let annotations: BTreeMap<_, _> = annotations
            .filter_map(|(key, value)| Some((key, value.as_ref()?)))
            .collect();
        let metadata = json!({
            "labels": above.labels, "annotations": annotations, "ownerReferences": [above.owner],
        });
        access
            .apply::<K>(name, json!({ "metadata": metadata, "spec": spec }))
            .await?;
        return Ok(true);
    };
    if same && above.stands(known.meta()) || !stays(known.meta()) {
        return Ok(false);
    }
    let mut annotations = known.annotations().clone();
    for (key, value) in above.annotations {
        match value {
            Some(value) => annotations.insert(key.to_owned(), value),
            None => annotations.remove(key),
        };
    }
    let mut changes = metadata(known.meta(), &above.labels, above.owner);
    changes.push(Change::set(&["metadata", "annotations"], json!(annotations)));
    changes.push(Change::set(&["spec"], json!(spec)));
    access.change(known, changes).await?;
    Ok(true)
}

/// Labels and owners beside those that an object has; one controller takes the place of another.
fn metadata(meta: &ObjectMeta, labels: &Labels, owner: OwnerReference) -> Vec<Change> {
    let mut all = meta.labels.clone().unwrap_or_default();
    all.extend(labels.clone());
    let owners = meta.owner_references.iter().flatten();
    let others = owners.filter(|other| other.controller != Some(true) && other.kind != owner.kind);
    let owners: Vec<OwnerReference> = others.cloned().chain([owner.clone()]).collect();
    let change = |field: &str, value: Value| Change::set(&["metadata", field], value);
    vec![
        change("labels", json!(all)),
        change("ownerReferences", json!(owners)),
    ]
}

fn owner<K: Resource<DynamicType = ()>>(object: &K) -> OwnerReference {
    object.controller_owner_ref(&()).unwrap_or_default()
}

/// Whether an object is not being deleted.
fn stays(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_none()
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
