//! The clusters of a site, as the coordinator reaches them: their APIs by endpoint, their etcds by the addresses of members.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use clusters::{Certificates, Workload, Workloads};
use etcd::{Etcd, EtcdConnector};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use pki::ServedCertificate;
use resources::Secret;

use crate::played::Played;

/// Every cluster of a site. Clones are the same clusters.
#[derive(Debug, Clone, Default)]
pub struct PlayedClusters(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    clusters: HashMap<String, Played>,
    endpoints: HashMap<String, Played>,
    /// By the address of a machine.
    machines: HashMap<IpAddr, Played>,
}

impl PlayedClusters {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap()
    }

    /// The cluster of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Played {
        self.known().clusters.entry(name.to_owned()).or_default().clone()
    }

    /// A cluster answers at this endpoint.
    pub fn answer_at(&self, endpoint: &str, name: &str) {
        let cluster = self.get(name);
        self.known().endpoints.insert(endpoint.to_owned(), cluster);
    }

    /// A machine with this address is of a cluster.
    pub(crate) fn put_machine(&self, address: IpAddr, name: &str) {
        let cluster = self.get(name);
        self.known().machines.insert(address, cluster);
    }
}

impl Workloads for PlayedClusters {
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn Workload>, String>> {
        let (_, server) = kubeconfig.reveal().split_once("https://").unwrap();
        let (endpoint, _) = server.split_once(":6443").unwrap();
        let found = self.known().endpoints.get(endpoint).cloned();
        let cluster = found.unwrap_or_else(|| panic!("no cluster was to answer at {endpoint}"));
        std::future::ready(Ok(Box::new(cluster) as Box<dyn Workload>)).boxed()
    }
}

impl Certificates for PlayedClusters {
    fn served(
        &self,
        address: SocketAddr,
        authority: Arc<str>,
    ) -> BoxFuture<'_, Result<ServedCertificate, String>> {
        assert!(authority.contains("BEGIN CERTIFICATE"));
        let found = self.known().machines.get(&address.ip()).cloned();
        let cluster = found.unwrap_or_else(|| panic!("no machine has {address}"));
        let served = cluster.with(|inside| {
            let ip = address.ip().to_string();
            let mut members = inside.etcd.values();
            let alive = members.any(|member| member.address == ip && member.alive);
            let known = inside.renewals.certificates.get(&ip).filter(|_| alive);
            let known = known.ok_or_else(|| "connection refused".to_owned())?;
            if inside.silent && known.etcd.not_after > Timestamp::now() {
                return Err("etcd waits for a quorum".to_owned());
            }
            Ok(match address.port() {
                6443 => known.api,
                _ => known.etcd,
            })
        });
        std::future::ready(served).boxed()
    }
}

impl EtcdConnector for PlayedClusters {
    fn connect(&self, access: etcd::Access) -> Result<Box<dyn Etcd>, etcd::Error> {
        assert!(access.certificate.contains("BEGIN CERTIFICATE"));
        let known = self.known();
        let mut members = access.endpoints.iter();
        let found = members.find_map(|member| known.machines.get(&member.ip()));
        let cluster = found.unwrap_or_else(|| panic!("no machine has any of {:?}", access.endpoints));
        Ok(Box::new(cluster.clone()))
    }
}
