//! Clients of the clusters and of their etcd, each with a certificate of an hour.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd::{Etcd, EtcdConnector, Membership};
use jiff::{SignedDuration, Timestamp};
use pki::{Credential, Validity};

use super::certificate_views::CertificateViews;
use super::certificates::{Authorities, Certificates};
use super::nodes::Nodes;
use super::snapshot::{ApiSeen, EtcdSeen, Snapshot};
use super::workload::{Workload, Workloads};
use crate::access::Access;
use crate::error::Error;
use crate::secrets;

/// How long our own certificates for a cluster count, and how long they are used.
const CERTIFICATE: SignedDuration = SignedDuration::from_mins(60);
const CONNECTION: SignedDuration = SignedDuration::from_mins(45);
/// Port at which members of etcd answer clients.
const ETCD_PORT: u16 = 2379;
/// Longest time that an observation of etcd takes.
const ETCD_LIMIT: Duration = Duration::from_secs(5);

/// Clients by namespace and name of the cluster.
pub(crate) struct Connections {
    workloads: Box<dyn Workloads>,
    etcd: Box<dyn EtcdConnector>,
    known: Mutex<HashMap<(String, String), Known>>,
    certificates: Option<Arc<dyn Certificates>>,
    shown: CertificateViews,
}

struct Known {
    /// The object that the authority was read from: a cluster that is made anew has another one.
    authority: Option<String>,
    until: Timestamp,
    connection: Connection,
    endpoints: Vec<IpAddr>,
}

/// Clients of one cluster.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Its API.
    pub(crate) api: Arc<dyn Workload>,
    /// Its etcd.
    pub(crate) etcd: Arc<dyn Etcd>,
    authorities: Authorities,
}

impl Connections {
    pub(crate) fn new(
        workloads: Box<dyn Workloads>,
        etcd: Box<dyn EtcdConnector>,
        certificates: Option<Arc<dyn Certificates>>,
    ) -> Self {
        Self {
            workloads,
            etcd,
            known: Mutex::new(HashMap::new()),
            certificates,
            shown: CertificateViews::default(),
        }
    }

    /// Drops the clients of a cluster.
    pub(crate) fn forget(&self, namespace: &str, cluster: &str) {
        let key = (namespace.to_owned(), cluster.to_owned());
        self.shown.forget(&key);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&key);
    }

    /// Asks the cluster, when there is one to ask, and puts what it says into the snapshot.
    pub(crate) async fn ask(
        &self,
        access: &Access,
        snapshot: &mut Snapshot,
        now: Timestamp,
    ) -> Option<Connection> {
        // Of a machine that is made with its data no address is known before it runs.
        if !snapshot.may_answer() || snapshot.etcd_addresses().is_empty() {
            return None;
        }
        let connection = match self.connection(access, snapshot, now).await {
            Ok(connection) => connection,
            Err(error) => {
                snapshot.api = ApiSeen::Silent(causes::line(&error));
                return None;
            }
        };
        let (api, etcd) = futures::future::join(ask_api(&*connection.api), ask_etcd(&*connection.etcd)).await;
        snapshot.api = match &etcd {
            // Reads go on, but nothing can be changed, and what is read may be the data of a machine that is to go.
            EtcdSeen::Members(view) if view.is_frozen() => {
                ApiSeen::Silent(format!("its etcd takes no writes: {}", view.faults()))
            }
            // It may be stopped: only a healthy member shows that it is not.
            etcd if snapshot.saved().is_some()
                && !matches!(etcd, EtcdSeen::Members(view) if view.serves())
                && matches!(api, ApiSeen::Answers { .. }) =>
            {
                ApiSeen::Silent("whether its etcd takes writes is not known".to_owned())
            }
            _ => api,
        };
        snapshot.etcd = etcd;
        if let Some(certificates) = &self.certificates {
            let key = (access.namespace.clone(), snapshot.cluster.clone());
            let look = self
                .shown
                .look(&**certificates, &connection.authorities, &key, snapshot, now);
            snapshot.certificates = look.await;
        }
        if matches!(snapshot.api, ApiSeen::Answers { .. }) && snapshot.may_have_renewals(now) {
            match connection.api.renewals().await {
                Ok(pods) => snapshot.renewals = Some(pods),
                Err(why) => snapshot.api = ApiSeen::Silent(why),
            }
        }
        if matches!(snapshot.api, ApiSeen::Answers { .. }) && snapshot.needs_gates() {
            let (templates, jobs) = (snapshot.gates.named.clone(), snapshot.gate_jobs());
            match connection.api.gates(templates, jobs).await {
                Ok(view) => snapshot.gates.view = Some(view),
                Err(why) => snapshot.api = ApiSeen::Silent(why),
            }
        }
        Some(connection)
    }

    async fn connection(
        &self,
        access: &Access,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Connection, Error> {
        let key = (access.namespace.clone(), snapshot.cluster.clone());
        let endpoints = snapshot.etcd_addresses();
        let authority = snapshot.cluster_uid().map(str::to_owned);
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |known: &&Known| {
                known.authority == authority && known.until > now && known.endpoints == endpoints
            };
            known.get(&key).filter(fits).map(|known| known.connection.clone())
        };
        if let Some(connection) = known {
            return Ok(connection);
        }
        let authorities = secrets::read_authorities(access, &snapshot.cluster).await?;
        let connection = self.connect(&authorities, snapshot, &endpoints, now).await?;
        let known = Known {
            authority,
            until: now.saturating_add(CONNECTION).unwrap_or(now),
            connection: connection.clone(),
            endpoints,
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, known);
        Ok(connection)
    }

    async fn connect(
        &self,
        (ca, etcd): &(Credential, Credential),
        snapshot: &Snapshot,
        endpoints: &[IpAddr],
        now: Timestamp,
    ) -> Result<Connection, Error> {
        let cluster = &snapshot.cluster;
        let endpoint = snapshot.wanted.as_ref().map(|wanted| wanted.endpoint.as_str());
        let validity = || Validity::lasting(now, CERTIFICATE);
        let text = secrets::kubeconfig(ca, cluster, endpoint.unwrap_or_default(), validity())?;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Client {
            cluster: cluster.clone(),
            source,
        };
        let api = self
            .workloads
            .connect(text)
            .await
            .map_err(|why| failed(why.into()))?;
        let client = pki::etcd_client(etcd, validity()).map_err(|source| Error::Pki {
            what: format!("a certificate for the etcd of {cluster}"),
            source,
        })?;
        let connected = self.etcd.connect(etcd::Access {
            endpoints: endpoints
                .iter()
                .map(|ip| SocketAddr::new(*ip, ETCD_PORT))
                .collect(),
            ca: etcd.certificate.clone(),
            certificate: client.certificate,
            key: client.key,
            limit: ETCD_LIMIT,
        });
        Ok(Connection {
            api: Arc::from(api),
            etcd: Arc::from(connected.map_err(|error| failed(error.into()))?),
            authorities: Authorities {
                api: ca.certificate.as_str().into(),
                etcd: etcd.certificate.as_str().into(),
            },
        })
    }
}

async fn ask_api(api: &dyn Workload) -> ApiSeen {
    let nodes = match api.nodes().await {
        Ok(nodes) => nodes,
        Err(why) => return ApiSeen::Silent(why),
    };
    match api.system().await {
        Ok(system) => ApiSeen::Answers {
            nodes: Nodes::new(nodes),
            system: Box::new(system),
        },
        Err(why) => ApiSeen::Silent(why),
    }
}

async fn ask_etcd(etcd: &dyn Etcd) -> EtcdSeen {
    match etcd.observe().await {
        Ok(view) if matches!(view.membership, Membership::Confirmed) => EtcdSeen::Members(view),
        Ok(view) => EtcdSeen::Silent(view.faults()),
        Err(error) => EtcdSeen::Silent(causes::line(&error)),
    }
}
