//! The machines of a cluster by worker group, and the objects above them: the MachineDeployment of a group and one MachineSet
//! for each revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster_spec::{CONTROL_PLANE_GROUP, ClusterBundle};
use kube::ResourceExt as _;
use resources::cluster_api::{MachineDeployment, MachineSet};
use resources::gantry::MachineRole;
use resources::keys;

use super::snapshot::Snapshot;

impl Snapshot {
    /// The pool of a machine, as far as anything says it still.
    pub(crate) fn pool_of(&self, machine: &str) -> Option<&str> {
        let provider = self.provider_machines.get(machine);
        let pool = provider.map(|provider| provider.spec.pool.as_str());
        let label = || {
            let labels = self.machines.get(machine)?.labels();
            let group = labels.get(keys::NODE_GROUP).map(String::as_str);
            group.or_else(|| {
                labels
                    .contains_key(keys::CONTROL_PLANE)
                    .then_some(CONTROL_PLANE_GROUP)
            })
        };
        pool.filter(|pool| !pool.is_empty()).or_else(label)
    }

    /// Machines of a worker group.
    pub(crate) fn of_group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a String> {
        let machines = self.existing().into_iter();
        machines
            .filter(move |name| self.role(name) == MachineRole::Worker && self.pool_of(name) == Some(group))
    }

    /// Whether a machine is being given back, or was asked to be.
    pub(crate) fn is_going(&self, machine: &str) -> bool {
        let object = self.machines.get(machine).map(|machine| &machine.metadata);
        let provider = self.provider_machines.get(machine);
        let mut both = object
            .into_iter()
            .chain(provider.map(|provider| &provider.metadata));
        both.any(|meta| meta.deletion_timestamp.is_some())
    }

    /// The MachineDeployment of a worker group.
    pub(crate) fn deployment(&self, group: &str) -> Option<&Arc<MachineDeployment>> {
        let mut all = self.deployments.values();
        all.find(|found| found.labels().get(keys::NODE_GROUP).is_some_and(|of| of == group))
    }

    /// The MachineSet of a revision of a worker group. One that is being deleted may still be there: nothing is put below it,
    /// because that would go with it.
    pub(crate) fn set(&self, group: &str, revision: &str) -> Option<&Arc<MachineSet>> {
        let is = |set: &&Arc<MachineSet>, key: &str, value: &str| {
            set.labels().get(key).is_some_and(|of| of == value)
        };
        let mut all = self.sets.values();
        all.find(|set| is(set, keys::NODE_GROUP, group) && is(set, keys::REVISION, revision))
    }

    /// Revisions of the machines of a worker group.
    pub(crate) fn revisions(&self, group: &str) -> BTreeSet<&str> {
        let machines = self
            .of_group(group)
            .filter_map(|name| self.provider_machines.get(name));
        let revisions = machines.map(|provider| provider.spec.revision.as_str());
        revisions.filter(|revision| !revision.is_empty()).collect()
    }

    /// Whether every machine that stays is made of what is recorded for its pool.
    pub(crate) fn is_rolled_out(&self) -> bool {
        let recorded = self.control_plane.as_ref();
        let recorded = recorded.map(|known| &known.spec.revisions);
        let mut staying = self
            .provider_machines
            .iter()
            .filter(|(name, _)| !self.is_going(name));
        staying.all(|(_, provider)| {
            let revision = recorded.and_then(|recorded| recorded.get(&provider.spec.pool));
            revision.is_none_or(|revision| *revision == provider.spec.revision)
        })
    }

    /// The documents with the counts that autoscalers ask for. A MachineDeployment that is gone leaves a group as large as it
    /// is.
    pub(crate) fn scaled(&self, bundle: &ClusterBundle) -> ClusterBundle {
        let mut bundle = bundle.clone();
        for group in &mut bundle.cluster.spec.worker_node_group_configurations {
            let Some(bounds) = cluster_spec::autoscaling(group) else {
                continue;
            };
            let name = group.name.as_deref().unwrap_or_default();
            let asked = self.deployment(name).and_then(|found| found.spec.replicas);
            let stays = |machine: &&String| {
                let provider = self.provider_machines.get(*machine);
                provider.is_some_and(|provider| provider.metadata.deletion_timestamp.is_none())
            };
            // Those that are to be replaced count: others come in their places.
            let there = self.of_group(name).filter(stays).count();
            let there = i32::try_from(there).ok().filter(|there| *there > 0);
            let count = asked.or(there).or(group.count).unwrap_or(*bounds.start());
            group.count = Some(count.clamp(*bounds.start(), *bounds.end()));
        }
        bundle
    }
}
