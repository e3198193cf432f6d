//! What a person asks of a cluster, what there is when it is carried out, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};

use clusters_sim::node_of;
use futures::future::BoxFuture;
use kube::ResourceExt;
use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{
    ControlPlane, Plan, PlanApproval, PlanClass, PlanPhase, ProviderCluster, ProviderMachine,
};

use sim::Life;

use super::mortal::Reaches;
use crate::gates::GATES;
use crate::world::{Followed, NAMESPACE, TURNS, World};

type Act = for<'a> fn(&'a World) -> BoxFuture<'a, ()>;

/// What a person asks of a cluster.
pub(super) struct Operation {
    name: &'static str,
    act: Act,
    /// How many machines of the control plane and workers there are afterwards.
    machines: (usize, usize),
    approved: bool,
    fails: bool,
    /// The images that machines have afterwards, by pool.
    images: &'static [(&'static str, &'static str)],
    /// Whether upgrade gates are run after each machine.
    gates: bool,
}

impl Operation {
    pub(super) const fn new(name: &'static str, act: Act, machines: (usize, usize)) -> Self {
        Self {
            name,
            act,
            machines,
            approved: false,
            fails: false,
            images: &[],
            gates: false,
        }
    }

    /// The machines of each pool are made of these images afterwards, and a person approves that.
    pub(super) const fn with_images(self, images: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            approved: true,
            images,
            ..self
        }
    }

    /// Upgrade gates are run after each machine.
    pub(super) const fn with_gates(self) -> Self {
        Self { gates: true, ..self }
    }

    /// Machines fail meanwhile, so more of them may be made than are left.
    pub(super) const fn with_failures(self) -> Self {
        Self { fails: true, ..self }
    }

    /// A person approves what it needs. Any other operation must need no approval.
    pub(super) const fn approved(self) -> Self {
        Self {
            approved: true,
            ..self
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Nothing is left of the cluster.
    const fn is_end(&self) -> bool {
        self.machines.0 == 0
    }

    /// Carries it out by coordinators of which each has so many writes and then is killed, and at last by one that lives.
    /// Tells how many were killed.
    pub(super) async fn carry_out(&self, world: &World, lives: impl IntoIterator<Item = usize>) -> usize {
        let before = Before::of(world);
        (self.act)(world).await;
        let mut killed = 0;
        for writes in lives.into_iter().chain([usize::MAX]) {
            let life = Life::of(writes);
            let coordinator = Followed::new(
                life.client(&world.client, NAMESPACE),
                &world.options,
                &life.clusters(world.clusters()),
            );
            if self.drive(world, &coordinator, &life).await {
                break;
            }
            killed += 1;
            self.meanwhile(world).await;
        }
        self.check(world, &before, killed).await;
        if self.is_end() {
            // What ran on the servers has gone with their power.
            world.forget_nodes();
        }
        killed
    }

    /// Until it is carried out, or the coordinator was killed. Tells whether it is carried out.
    async fn drive(&self, world: &World, coordinator: &Followed, life: &Life) -> bool {
        for _ in 0..TURNS {
            let result = coordinator.reconcile("demo").await;
            if life.is_over() {
                return false;
            }
            result.unwrap();
            if self.is_done(world).await {
                return true;
            }
            self.meanwhile(world).await;
        }
        panic!("{} is not carried out: {}", self.name, world.state().await);
    }

    async fn meanwhile(&self, world: &World) {
        if self.approved {
            approve(world).await;
        }
        world.react().await;
    }

    async fn is_done(&self, world: &World) -> bool {
        let Some(cluster) = world.cluster().await else {
            return self.is_end();
        };
        let status = cluster.status.unwrap_or_default();
        let ready = status.conditions.iter().find(|known| known.type_ == "Ready");
        if ready.is_none_or(|ready| ready.status != "True") {
            return false;
        }
        let control_plane = world.api::<ControlPlane>().get_opt("demo").await.unwrap();
        if control_plane.is_some_and(|known| known.spec.renewal_requested_at.is_some()) {
            return false;
        }
        let machines = world.machines().await;
        let mut all = machines.iter();
        let differs = |pool: &str, url: &str| {
            let images = &self.images;
            images.iter().any(|(of, wanted)| *of == pool && *wanted != url)
        };
        if all.any(|machine| differs(&machine.spec.pool, &machine.spec.image_url)) {
            return false;
        }
        let count = |name: &str| machines.iter().filter(|known| known.spec.pool == name).count();
        let marked = world.api::<Machine>().list(&Default::default()).await.unwrap();
        let marked = marked
            .iter()
            .any(|machine| machine.metadata.deletion_timestamp.is_some());
        (count("cp"), count("md-0")) == self.machines && !marked && world.is_at_rest().await
    }

    /// One object of each kind for each machine, one server, one node, one member of etcd, each made once; and nothing
    /// else.
    async fn check(&self, world: &World, before: &Before, killed: usize) {
        let log = world.log();
        let new = &log[before.log.min(log.len())..];
        let what = format!("{} with {killed} kills: {new:#?}", self.name());
        let machines = world.machines().await;
        let uids: BTreeSet<&str> = machines
            .iter()
            .map(|machine| machine.spec.machine_uid.as_str())
            .collect();
        assert_eq!(uids.len(), machines.len(), "{what}");
        let names: BTreeSet<String> = machines.iter().map(ResourceExt::name_any).collect();
        assert_eq!(as_set(world.names::<Machine>().await), names, "{what}");
        let hosts = hosts(world);
        assert_eq!(hosts.keys().cloned().collect::<BTreeSet<_>>(), names, "{what}");
        assert_eq!(world.tokens(), 0, "{what}");

        self.check_work(world, before, new, &names, &what);
        if self.is_end() {
            return nothing_is_left(world, &what).await;
        }
        let members = self.machines.0;
        let (nodes, etcd, voters, lost) = world.inside.with(|inside| {
            let nodes: BTreeSet<String> = inside.nodes.keys().cloned().collect();
            (nodes, inside.etcd.len(), inside.voters(), inside.lost_quorum)
        });
        assert_eq!(
            nodes,
            hosts.values().map(|host| node_of(host)).collect(),
            "{what}"
        );
        let without = world.inside.with(|inside| inside.proxies.without.clone());
        assert_eq!(without, None, "{what}");
        assert_eq!(
            (etcd, voters, lost),
            (members, (members, members), None),
            "{what}"
        );
        assert_eq!(world.count("init"), 1, "{:#?}", world.log());
        let kept = ["demo-ca", "demo-etcd", "demo-kubeconfig", "demo-proxy", "demo-sa"];
        assert_eq!(world.secrets().await, kept, "{what}");
        let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
        assert_eq!(control_plane.spec.disruption, None, "{what}");
        let pods = world.inside.with(|inside| inside.renewals.pods());
        assert_eq!(pods, [""; 0], "{what}");
    }

    /// What was done for it was done once.
    fn check_work(
        &self,
        world: &World,
        before: &Before,
        new: &[String],
        names: &BTreeSet<String>,
        what: &str,
    ) {
        let claims = world.driver().history().len() - before.claims;
        let begin = |prefix: &str| new.iter().filter(|line| line.starts_with(prefix)).count();
        let joins = begin("join") + begin("init") + begin("restore");
        if self.fails {
            assert!(claims < 8 && joins < 8, "{what}");
            return;
        }
        let added = names
            .iter()
            .filter(|name| !before.hosts.contains_key(*name))
            .count();
        assert_eq!(
            (claims, joins),
            (added, added),
            "each machine takes one server and joins once: {what}"
        );
        if self.gates {
            let gates: BTreeSet<String> = names.iter().map(|name| format!("gate of {name}")).collect();
            let run: Vec<&String> = new.iter().filter(|line| line.starts_with("gate of")).collect();
            assert_eq!(
                run.len(),
                GATES.len() * gates.len(),
                "each gate is run once: {what}"
            );
            assert!(run.iter().all(|line| gates.contains(*line)), "{what}");
        }
        let gone = before.hosts.iter().filter(|(name, _)| !names.contains(*name));
        for (name, host) in gone.filter(|_| !self.is_end()) {
            let drained = format!("drained {}", node_of(host));
            assert!(new.contains(&drained), "{name} was not drained: {what}");
        }
    }
}

/// What there was when an operation began.
struct Before {
    log: usize,
    claims: usize,
    hosts: BTreeMap<String, String>,
}

impl Before {
    fn of(world: &World) -> Self {
        let claims = world.driver().history().len();
        Self {
            log: world.log().len(),
            claims,
            hosts: hosts(world),
        }
    }
}

/// The servers of machines by these.
fn hosts(world: &World) -> BTreeMap<String, String> {
    let driver = world.driver();
    let claims = driver.claims().iter();
    claims
        .map(|(host, machine)| (machine.clone(), host.clone()))
        .collect()
}

fn as_set(names: Vec<String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

async fn nothing_is_left(world: &World, what: &str) {
    for left in [
        world.secrets().await,
        world.names::<ProviderMachine>().await,
        world.names::<ProviderCluster>().await,
        world.names::<ControlPlane>().await,
        world.names::<CapiCluster>().await,
        world.names::<Plan>().await,
        world.names::<PlanApproval>().await,
    ] {
        assert_eq!(left, [""; 0], "{what}");
    }
}

/// A person approves the plans that wait for it.
async fn approve(world: &World) {
    let approvals = world.names::<PlanApproval>().await;
    let plans = world.api::<Plan>().list(&Default::default()).await.unwrap();
    for plan in plans.items {
        let name = plan.name_any();
        let by_person = plan.spec.requires_approval.is_some() || plan.spec.class == PlanClass::Upgrade;
        let waits = plan.phase() == PlanPhase::Pending && by_person;
        if waits && !approvals.contains(&name) {
            world.approve(&name).await;
        }
    }
}
