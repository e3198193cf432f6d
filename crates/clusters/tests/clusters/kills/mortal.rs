//! A coordinator that is killed: it makes so many writes, to the API of the appliance, to its cluster and to the etcd of that,
//! and from then on nothing that it asks for is answered.

use clusters::{
    Drained, Failure, GatesView, LabelsAndTaints, NamespacedName, NodeView, RenewalPod, SystemView, Workload,
    Workloads,
};
use clusters_sim::PlayedClusters;
use etcd::{Etcd, EtcdConnector, EtcdView, HashView, MemberId, Snapshot};
use futures::FutureExt;
use futures::future::BoxFuture;
use resources::Secret;
use serde_json::Value;
use sim::Life;
use tokio::io::AsyncWrite;

/// What a life can reach besides the API of the appliance.
pub(super) trait Reaches {
    /// The clusters, reached as long.
    fn clusters(&self, clusters: &PlayedClusters) -> MortalClusters;
}

impl Reaches for Life {
    fn clusters(&self, clusters: &PlayedClusters) -> MortalClusters {
        MortalClusters {
            life: self.clone(),
            clusters: clusters.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct MortalClusters {
    life: Life,
    clusters: PlayedClusters,
}

impl Workloads for MortalClusters {
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn Workload>, Failure>> {
        async move {
            let inner = Workloads::connect(&self.clusters, kubeconfig).await?;
            let life = self.life.clone();
            Ok(Box::new(Mortal { life, inner }) as Box<dyn Workload>)
        }
        .boxed()
    }
}

impl EtcdConnector for MortalClusters {
    fn connect(&self, access: etcd::Access) -> Result<Box<dyn Etcd>, etcd::Error> {
        let inner = EtcdConnector::connect(&self.clusters, access)?;
        let life = self.life.clone();
        Ok(Box::new(Mortal { life, inner }))
    }
}

struct Mortal<T: ?Sized> {
    life: Life,
    inner: Box<T>,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, Failure>>;
type OfEtcd<'a, T> = BoxFuture<'a, Result<T, etcd::Error>>;

impl<T: ?Sized> Mortal<T> {
    /// A played cluster acts when it is called, so it is called only by who lives.
    fn answer<'a, A, E>(
        &'a self,
        lives: bool,
        call: impl FnOnce(&'a T) -> BoxFuture<'a, Result<A, E>>,
        killed: E,
    ) -> BoxFuture<'a, Result<A, E>>
    where
        A: Send + 'a,
        E: Send + 'a,
    {
        match lives {
            true => call(&self.inner),
            false => std::future::ready(Err(killed)).boxed(),
        }
    }
}

fn killed() -> Failure {
    "killed".to_owned()
}

const NO_ANSWER: etcd::Error = etcd::Error::NoMember(MemberId(0));

impl Workload for Mortal<dyn Workload> {
    fn nodes(&self) -> Answer<'_, Vec<NodeView>> {
        self.answer(self.life.goes_on(), |inner| inner.nodes(), killed())
    }

    fn node(&self, name: String) -> Answer<'_, Option<NodeView>> {
        self.answer(self.life.goes_on(), |inner| inner.node(name), killed())
    }

    fn system(&self) -> Answer<'_, SystemView> {
        self.answer(self.life.goes_on(), |inner| inner.system(), killed())
    }

    fn apply(&self, objects: Vec<Value>) -> Answer<'_, ()> {
        let lived = self.life.goes_on();
        if self.life.write() {
            return self.inner.apply(objects);
        }
        async move {
            // It is killed before the last of them.
            let most = objects.len().saturating_sub(1);
            let written: Vec<Value> = objects.into_iter().take(most).collect();
            if lived && !written.is_empty() {
                self.inner.apply(written).await?;
            }
            Err(killed())
        }
        .boxed()
    }

    fn delete_daemon_set(&self, set: NamespacedName) -> Answer<'_, ()> {
        self.answer(self.life.write(), |inner| inner.delete_daemon_set(set), killed())
    }

    fn delete_token(&self, name: String) -> Answer<'_, ()> {
        self.answer(self.life.write(), |inner| inner.delete_token(name), killed())
    }

    fn set_labels_and_taints(&self, node: String, wanted: LabelsAndTaints) -> Answer<'_, NodeView> {
        self.answer(
            self.life.write(),
            |inner| inner.set_labels_and_taints(node, wanted),
            killed(),
        )
    }

    fn set_provider_id(&self, node: String, provider_id: String) -> Answer<'_, ()> {
        self.answer(
            self.life.write(),
            |inner| inner.set_provider_id(node, provider_id),
            killed(),
        )
    }

    fn delete_node(&self, name: String) -> Answer<'_, ()> {
        self.answer(self.life.write(), |inner| inner.delete_node(name), killed())
    }

    fn renewals(&self) -> Answer<'_, Vec<RenewalPod>> {
        self.answer(self.life.goes_on(), |inner| inner.renewals(), killed())
    }

    fn api_server_image(&self, node: String) -> Answer<'_, Option<String>> {
        self.answer(
            self.life.goes_on(),
            |inner| inner.api_server_image(node),
            killed(),
        )
    }

    fn delete_pod(&self, name: String) -> Answer<'_, ()> {
        self.answer(self.life.write(), |inner| inner.delete_pod(name), killed())
    }

    fn gates(&self, templates: Vec<NamespacedName>, jobs: Vec<NamespacedName>) -> Answer<'_, GatesView> {
        let answers = self.life.goes_on();
        self.answer(answers, |inner| inner.gates(templates, jobs), killed())
    }

    fn drain(&self, node: String) -> Answer<'_, Drained> {
        self.answer(self.life.write(), |inner| inner.drain(node), killed())
    }
}

impl Etcd for Mortal<dyn Etcd> {
    fn observe(&self) -> OfEtcd<'_, EtcdView> {
        self.answer(self.life.goes_on(), |inner| inner.observe(), NO_ANSWER)
    }

    fn move_leader(&self, to: MemberId) -> OfEtcd<'_, ()> {
        self.answer(self.life.write(), |inner| inner.move_leader(to), NO_ANSWER)
    }

    fn remove_member(&self, id: MemberId) -> OfEtcd<'_, ()> {
        self.answer(self.life.write(), |inner| inner.remove_member(id), NO_ANSWER)
    }

    fn promote(&self, id: MemberId) -> OfEtcd<'_, ()> {
        self.answer(self.life.write(), |inner| inner.promote(id), NO_ANSWER)
    }

    fn hash_kv(&self, revision: Option<i64>) -> OfEtcd<'_, HashView> {
        self.answer(
            self.life.goes_on(),
            move |inner| inner.hash_kv(revision),
            NO_ANSWER,
        )
    }

    fn freeze(&self) -> OfEtcd<'_, ()> {
        self.answer(self.life.write(), |inner| inner.freeze(), NO_ANSWER)
    }

    fn thaw(&self) -> OfEtcd<'_, ()> {
        self.answer(self.life.write(), |inner| inner.thaw(), NO_ANSWER)
    }

    fn snapshot<'a>(&'a self, to: &'a mut (dyn AsyncWrite + Send + Unpin)) -> OfEtcd<'a, Snapshot> {
        self.answer(self.life.goes_on(), |inner| inner.snapshot(to), NO_ANSWER)
    }
}
