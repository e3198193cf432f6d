//! Clients of the new clusters, each with a certificate of an hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use pki::Validity;

use super::look::{self, Seen};
use super::new_cluster::{NewCluster, NewClusters};
use super::pki_secrets;
use super::snapshot::ApiSeen;
use crate::error::Error;

/// How long our own certificate for a new cluster counts, and how long it is used.
const CERTIFICATE: SignedDuration = SignedDuration::from_mins(60);
const CONNECTION: SignedDuration = SignedDuration::from_mins(45);

/// Clients by namespace and name of the cluster.
pub(crate) struct Connections {
    new_clusters: Box<dyn NewClusters>,
    known: Mutex<HashMap<String, Connection>>,
}

struct Connection {
    /// The authority that it trusts: a cluster made anew has another one.
    ca: String,
    until: Timestamp,
    api: Arc<dyn NewCluster>,
}

impl Connections {
    pub(crate) fn new(new_clusters: Box<dyn NewClusters>) -> Self {
        Self {
            new_clusters,
            known: Mutex::new(HashMap::new()),
        }
    }

    /// Drops the client of a cluster.
    pub(crate) fn forget(&self, namespace: &str, cluster: &str) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&format!("{namespace}/{cluster}"));
    }

    /// Asks the new cluster, when there is one to ask, and puts what it says into the snapshot.
    pub(crate) async fn ask(
        &self,
        namespace: &str,
        cluster: &str,
        seen: &mut Seen,
        now: Timestamp,
    ) -> Option<Arc<dyn NewCluster>> {
        if !look::may_answer(&seen.snapshot) {
            return None;
        }
        let endpoint = seen.snapshot.desired.as_ref()?.endpoint.clone();
        match self
            .connection(namespace, cluster, &endpoint, &seen.secrets, now)
            .await
        {
            Ok(api) => {
                seen.snapshot.api = look::ask(&api).await;
                Some(api)
            }
            Err(error) => {
                seen.snapshot.api = ApiSeen::Silent(error.to_string());
                None
            }
        }
    }

    async fn connection(
        &self,
        namespace: &str,
        cluster: &str,
        endpoint: &str,
        secrets: &BTreeMap<String, KubeSecret>,
        now: Timestamp,
    ) -> Result<Arc<dyn NewCluster>, Error> {
        let key = format!("{namespace}/{cluster}");
        let pki = pki_secrets::read(secrets, cluster)?;
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .get(&key)
                .filter(|known| known.ca == pki.ca.certificate && known.until > now)
                .map(|known| Arc::clone(&known.api))
        };
        if let Some(api) = known {
            return Ok(api);
        }
        let text = pki_secrets::kubeconfig(&pki, cluster, endpoint, Validity::lasting(now, CERTIFICATE))?;
        let api = self
            .new_clusters
            .connect(text)
            .await
            .map_err(|why| Error::Client {
                cluster: cluster.to_owned(),
                source: why.into(),
            })?;
        let api: Arc<dyn NewCluster> = Arc::from(api);
        let until = now.saturating_add(CONNECTION).unwrap_or(now);
        let connection = Connection {
            ca: pki.ca.certificate,
            until,
            api: Arc::clone(&api),
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, connection);
        Ok(api)
    }
}
