//! A cluster, played: nodes, members of etcd that vote or have died, an API that is silent without a quorum or when a test says
//! so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use clusters::{
    AddonsView, Drained, GatesView, LabelsAndTaints, NamespacedName, NodeView, RenewalPod, SystemView,
    Workload,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use resources::Digest;
use serde_json::Value;

use crate::gates::Gates;
use crate::proxies::Proxies;
use crate::renewals::Renewals;

/// A member of the played etcd.
#[derive(Debug, Clone)]
pub struct Voter {
    pub name: String,
    pub address: String,
    pub alive: bool,
    pub learner: bool,
}

/// What the played cluster holds.
#[derive(Debug, Default)]
pub struct Inside {
    pub nodes: BTreeMap<String, NodeView>,
    pub etcd: BTreeMap<u64, Voter>,
    pub leader: u64,
    pub tokens: BTreeSet<String>,
    pub cni: bool,
    pub last_plan: Option<u32>,
    /// Revision that joining machines read.
    pub joins_with: Option<String>,
    /// DNS and kube-proxy.
    pub addons: AddonsView,
    pub log: Vec<String>,
    /// Nodes whose pods a disruption budget holds.
    pub held: BTreeSet<String>,
    pub cordoned: BTreeSet<String>,
    /// Nodes whose labels and taints somebody in the cluster puts back as soon as they are changed.
    pub puts_back: BTreeSet<String>,
    /// Its API does not answer.
    pub silent: bool,
    /// Its etcd refuses writes.
    pub frozen: bool,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Snapshots of etcd: up to which write they go, and whether they were taken while it was frozen.
    pub snapshots: BTreeMap<Digest, (u64, bool)>,
    /// Snapshots of a frozen etcd break off.
    pub breaks_off: bool,
    /// Whether no snapshot can be taken.
    pub no_snapshot: bool,
    /// What a watch shows of the nodes while it is behind them.
    pub behind: Option<BTreeMap<String, NodeView>>,
    /// How often its API was asked for its nodes.
    pub asked: usize,
    /// Fewest healthy voters for their number that there ever were, as (voters, healthy).
    pub lost_quorum: Option<(usize, usize)>,
    /// Certificates of its members.
    pub renewals: Renewals,
    /// Upgrade gates.
    pub gates: Gates,
    /// Pods of kube-proxy.
    pub proxies: Proxies,
    next_member: u64,
}

impl Inside {
    /// How many voting members etcd has, and how many of them are healthy.
    #[must_use]
    pub fn voters(&self) -> (usize, usize) {
        let voters = || self.etcd.values().filter(|member| !member.learner);
        let healthy = voters().filter(|voter| voter.alive).count();
        (voters().count(), healthy)
    }

    pub(crate) fn has_quorum(&self) -> bool {
        let (voters, healthy) = self.voters();
        healthy > voters / 2
    }

    pub(crate) fn check_quorum(&mut self) {
        // What a frozen one holds is saved.
        if !self.etcd.is_empty() && !self.has_quorum() && !self.frozen {
            self.lost_quorum.get_or_insert(self.voters());
        }
    }

    /// Adds a member, which votes at once.
    pub fn add_member(&mut self, name: &str, address: &str) {
        self.next_member += 1;
        let voter = Voter {
            name: name.to_owned(),
            address: address.to_owned(),
            alive: true,
            learner: false,
        };
        self.etcd.insert(self.next_member, voter);
        self.renewals.make(address);
        if self.leader == 0 {
            self.leader = self.next_member;
        }
    }

    /// A machine was added to etcd, and its member never started: it has no name yet.
    pub fn add_learner(&mut self, address: &str) {
        self.next_member += 1;
        let learner = Voter {
            name: String::new(),
            address: address.to_owned(),
            alive: false,
            learner: true,
        };
        self.etcd.insert(self.next_member, learner);
    }

    /// A machine loses its power: its node turns not Ready, its member dies.
    pub fn power_off(&mut self, node: &str, since: SignedDuration) {
        if let Some(view) = self.nodes.get_mut(node) {
            view.ready = false;
            view.since = Some(Timestamp::now() - since);
            view.reason = Some("Kubelet stopped posting node status.".to_owned());
        }
        for voter in self.etcd.values_mut().filter(|voter| voter.name == node) {
            voter.alive = false;
        }
        self.check_quorum();
    }

    /// A node is there that was installed with this version.
    pub(crate) fn runs(&mut self, node: &str, version: &str) {
        self.proxies.runs(node, version);
        if self.addons.proxy.is_none() {
            self.addons.proxy = Some(format!("registry.k8s.io/kube-proxy:{version}"));
        }
    }

    /// The pods of every node follow.
    pub(crate) fn move_proxies(&mut self) {
        self.proxies.follow(&self.nodes, &self.addons);
    }

    /// Takes over what is applied of the objects that every cluster has.
    fn note_addons(&mut self, object: &Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let image = text("/spec/template/spec/containers/0/image");
        if let Some(version) = text("/metadata/labels/gantry.dev~1kubernetes-version") {
            self.log.push(format!("pods for {version}"));
            match text("/metadata/namespace").as_deref() {
                Some("kube-system") => self.addons.of_versions.insert(version),
                _ => self.addons.cni_of_versions.insert(version),
            };
            return;
        }
        match text("/metadata/name").as_deref() {
            Some("coredns") => self.addons.dns = image,
            Some("kube-proxy") => {
                self.joins_with = text("/metadata/annotations/gantry.dev~1control-plane-revision");
                self.addons.version = text("/metadata/annotations/gantry.dev~1addons-version");
                self.addons.proxy = image.or(self.addons.proxy.take());
                self.addons.held = text("/spec/updateStrategy/type").as_deref() == Some("OnDelete");
                let rule = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution\
                            /nodeSelectorTerms/0/matchExpressions/0/values";
                let values = object
                    .pointer(rule)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                let values = values.filter_map(Value::as_str).map(str::to_owned);
                self.addons.left_out = values.collect();
                self.log.push("kube-proxy".to_owned());
            }
            Some("kubeadm-config") => self.log.push("kubeadm-config".to_owned()),
            _ => {}
        }
    }

    /// A node is Ready when its cluster has a network.
    fn view(&self, node: &NodeView) -> NodeView {
        NodeView {
            ready: node.ready && self.cni,
            ..node.clone()
        }
    }

    /// A frozen etcd serves reads, and the API passes its refusal on. What is written is acknowledged.
    fn writes(&mut self) -> Result<(), String> {
        self.answers()?;
        match self.frozen {
            true => Err("etcdserver: corrupt cluster".to_owned()),
            false => {
                self.acknowledged += 1;
                Ok(())
            }
        }
    }

    /// Somebody else than the coordinator writes, if the cluster takes it.
    pub(crate) fn somebody_writes(&mut self) {
        let _ = self.writes();
    }

    /// A machine starts etcd with the data of a snapshot. Nobody else may serve them. Nothing may be missing in one of a frozen
    /// etcd; what came after any other is lost.
    pub(crate) fn restore(&mut self, sha256: Digest, node: &str, address: &str) {
        let saved = self.snapshots.get(&sha256).expect("a snapshot of this cluster");
        let (acknowledged, frozen) = *saved;
        if frozen {
            assert_eq!(
                acknowledged, self.acknowledged,
                "acknowledged writes are lost: {:?}",
                self.log
            );
        }
        self.acknowledged = acknowledged;
        assert_eq!(
            self.voters().1,
            0,
            "a second etcd beside a living one: {:?}",
            self.etcd
        );
        self.etcd.clear();
        self.leader = 0;
        self.frozen = frozen;
        self.add_member(node, address);
    }

    fn answers(&self) -> Result<(), String> {
        if self.nodes.is_empty() || self.silent || self.renewals.silence > 0 {
            return Err("connection refused".to_owned());
        }
        if !self.has_quorum() {
            return Err("etcdserver: no leader".to_owned());
        }
        Ok(())
    }
}

/// One cluster: its API and its etcd. Clones are the same cluster.
#[derive(Debug, Clone, Default)]
pub struct Played(Arc<Mutex<Inside>>);

impl Played {
    /// Looks into the cluster, or changes what is in it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

pub(crate) fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    std::future::ready(value).boxed()
}

impl Workload for Played {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, String>> {
        ready(self.with(|inside| {
            inside.asked += 1;
            inside.answers()?;
            let nodes = inside.behind.as_ref().unwrap_or(&inside.nodes);
            Ok(nodes.values().map(|node| inside.view(node)).collect())
        }))
    }

    fn node(&self, name: String) -> BoxFuture<'_, Result<Option<NodeView>, String>> {
        ready(self.with(|inside| {
            inside.answers()?;
            Ok(inside.nodes.get(&name).map(|node| inside.view(node)))
        }))
    }

    fn system(&self) -> BoxFuture<'_, Result<SystemView, String>> {
        ready(self.with(|inside| {
            inside.answers()?;
            Ok(SystemView {
                cni_applied: inside.cni,
                missing: None,
                last_plan: inside.last_plan,
                joins_with: inside.joins_with.clone(),
                addons: inside.addons.clone(),
            })
        }))
    }

    fn apply(&self, objects: Vec<Value>) -> BoxFuture<'_, Result<(), String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            for object in objects {
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                inside.note_addons(&object);
                if object["kind"] == "DaemonSet" && ["kube-flannel-ds", "cilium"].contains(&name.as_str()) {
                    inside.cni = true;
                    inside.log.push("cni".to_owned());
                } else if name.starts_with("cilium") {
                    let says = object["metadata"]["annotations"]["says"].as_str();
                    let says = says.map(|says| format!(": {says}"));
                    inside.log.push(format!("{name}{}", says.unwrap_or_default()));
                }
                if object["kind"] == "ConfigMap" && name == "gantry-last-plan" {
                    inside.last_plan = Some(object["data"]["number"].as_str().unwrap().parse().unwrap());
                }
                if object["kind"] == "Pod" {
                    inside.renewals.apply(&object);
                }
                if object["kind"] == "Job"
                    && let Some(machine) = inside.gates.apply(&object)
                {
                    inside.log.push(format!("gate of {machine}"));
                }
                if object["type"] == "bootstrap.kubernetes.io/token" {
                    inside.tokens.insert(name);
                }
                inside.move_proxies();
            }
            Ok(())
        }))
    }

    fn delete_daemon_set(&self, set: NamespacedName) -> BoxFuture<'_, Result<(), String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            let addons = &mut inside.addons;
            let versions = match set.namespace.as_str() {
                "kube-system" => &mut addons.of_versions,
                _ => &mut addons.cni_of_versions,
            };
            let before = versions.len();
            versions.retain(|version| !set.name.ends_with(&version.replace('.', "-")));
            if versions.len() < before {
                inside.log.push(format!("delete {}", set.name));
            }
            inside.move_proxies();
            Ok(())
        }))
    }

    fn delete_token(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            inside.tokens.remove(&name);
            Ok(())
        }))
    }

    fn set_labels_and_taints(
        &self,
        node: String,
        wanted: LabelsAndTaints,
    ) -> BoxFuture<'_, Result<NodeView, String>> {
        ready(self.with(|inside| {
            inside.answers()?;
            let view = inside.nodes.get(&node).ok_or("not found")?;
            let change = wanted.change(&view.labels, &view.taints);
            if !change.is_empty() {
                inside.writes()?;
                inside.log.push(format!("labels and taints of {node}"));
            }
            let puts_back = inside.puts_back.contains(&node);
            let view = inside.nodes.get_mut(&node).ok_or("not found")?;
            if !puts_back {
                view.labels = change.labels(std::mem::take(&mut view.labels));
                view.taints = change.taints(std::mem::take(&mut view.taints));
            }
            let view = view.clone();
            inside.move_proxies();
            Ok(view)
        }))
    }

    fn set_provider_id(&self, node: String, provider_id: String) -> BoxFuture<'_, Result<(), String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            let view = inside.nodes.get_mut(&node).ok_or("not found")?;
            // As kube-apiserver has it: it is set once.
            if view
                .provider_id
                .as_ref()
                .is_some_and(|known| *known != provider_id)
            {
                return Err("spec.providerID: Forbidden: node updates may not change it".to_owned());
            }
            view.provider_id = Some(provider_id);
            Ok(())
        }))
    }

    fn delete_node(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            if inside.nodes.remove(&name).is_some() {
                inside.cordoned.remove(&name);
                inside.log.push(format!("delete {name}"));
            }
            Ok(())
        }))
    }

    fn renewals(&self) -> BoxFuture<'_, Result<Vec<RenewalPod>, String>> {
        ready(self.with(|inside| {
            inside.answers()?;
            Ok(inside.renewals.list())
        }))
    }

    fn api_server_image(&self, node: String) -> BoxFuture<'_, Result<Option<String>, String>> {
        ready(self.with(|inside| {
            inside.answers()?;
            let mut members = inside.etcd.values();
            let runs = members.any(|member| member.name == node);
            Ok(runs.then(|| "registry.k8s.io/kube-apiserver:v1.35.4".to_owned()))
        }))
    }

    fn delete_pod(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            inside.renewals.delete(&name);
            Ok(())
        }))
    }

    fn gates(
        &self,
        templates: Vec<NamespacedName>,
        jobs: Vec<NamespacedName>,
    ) -> BoxFuture<'_, Result<GatesView, String>> {
        ready(self.with(|inside| {
            inside.answers()?;
            Ok(inside.gates.view(&templates, &jobs))
        }))
    }

    fn drain(&self, node: String) -> BoxFuture<'_, Result<Drained, String>> {
        ready(self.with(|inside| {
            inside.writes()?;
            if inside.cordoned.insert(node.clone()) {
                inside.log.push(format!("cordon {node}"));
            }
            if inside.held.contains(&node) {
                let text = "PodDisruptionBudget shop/web allows no disruption of pod shop/web-0";
                return Ok(Drained::NotYet(text.to_owned()));
            }
            if inside.log.last() != Some(&format!("drained {node}")) {
                inside.log.push(format!("drained {node}"));
            }
            Ok(Drained::Yes)
        }))
    }
}
