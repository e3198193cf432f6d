//! Bootstrap data of one machine: made when its installed system asks for it, with a token of a few minutes.

use jiff::{SignedDuration, Timestamp};
use kube::Resource as _;
use node_config::{
    BootstrapDocument, CaFiles, ClusterSettings, EtcdSnapshot, Images, JoinSecrets, NodePlace, NodeSettings,
    System, pushed_user_data,
};
use pki::ClusterPki;
use resources::gantry::{BootstrapMode, MachineRole, ProviderMachine};
use resources::keys;
use serde_json::json;

use super::snapshots;
use super::token::{Token, seconds};
use super::work::Work;
use crate::error::Error;
use crate::plan::{Pool, Wanted};
use crate::registry_credentials::registry_credentials;
use crate::secrets::{self, REQUESTED_AT, TOKEN_EXPIRES, TOKEN_ID};

/// Minutes of the token of a machine that its driver makes with it. It is made to last longer while the machine has not joined.
const PUSHED_MINUTES: i64 = 20;

/// Fills the bootstrap Secret; `Ok(Some(_))` says why it can't be done yet.
pub(crate) async fn deliver(work: &Work<'_>, machine: &str, init: bool) -> Result<Option<String>, Error> {
    let Some(wanted) = &work.snapshot.wanted else {
        return Ok(None);
    };
    let provider = work.snapshot.provider_machines.get(machine);
    let found = provider.and_then(|provider| Some((wanted.pool(&provider.spec.pool)?, provider)));
    let (Some((pool, provider)), Some(requested_at)) = (found, work.snapshot.requested_at(machine)) else {
        return Ok(None);
    };
    let pki = secrets::read(work.access, &wanted.name).await?;
    let pushed = work.snapshot.is_pushed(machine);
    let (uid, mut minutes) = (&provider.spec.machine_uid, i64::from(work.options.token_minutes));
    let token = match pushed {
        true => Token::kept(uid, requested_at, &pki.ca.key),
        false => Token::of(uid, requested_at),
    };
    if pushed {
        minutes = minutes.max(PUSHED_MINUTES);
    }
    let expires = steps::later(work.now, SignedDuration::from_mins(minutes));
    if !init {
        // First in the cluster, then in our Secret: what a node gets always works. The id of the token follows from the
        // machine and its request, so a token whose Secret was never written is found again.
        let Some(connection) = work.connection else {
            return Ok(Some("waits for the cluster's API".to_owned()));
        };
        if let Err(why) = connection.api.apply(vec![token.secret(expires)]).await {
            return Ok(Some(format!("{machine}: cannot make a bootstrap token: {why}")));
        }
    }
    let failed = |source| Error::NodeConfig {
        machine: machine.to_owned(),
        source,
    };
    let mut cluster = settings(work, wanted, &pool.version)?;
    if wanted
        .registry_mirror
        .as_ref()
        .is_some_and(|mirror| mirror.authenticate)
    {
        match registry_credentials(work.access).await? {
            Ok(found) => cluster.registry_credentials = Some(found),
            Err(missing) => return Ok(Some(format!("{machine}: {missing}"))),
        }
    }
    let made = work.snapshot.machines.get(machine);
    let version = made.and_then(|made| made.spec.version.as_ref());
    let node = node((pool, version.unwrap_or(&pool.version)), machine, provider)?;
    let saved = work.snapshot.saved_snapshot().filter(|_| init);
    if pushed && saved.is_some() {
        return Ok(Some(format!(
            "{machine}: a machine of driver {} can't start with saved data of etcd: these are too big for its user data",
            provider.spec.provider
        )));
    }
    let saved = saved.map(|saved| EtcdSnapshot {
        sha256: saved.sha256,
        size: saved.size,
        is_older: work.snapshot.goes_back(),
    });
    let document = document(&cluster, &node, (pool.role, init, saved), &pki, &token).map_err(failed)?;
    let data = match pushed {
        true => pushed_user_data(&document, machine, &provider.spec.users).map_err(failed)?,
        false => document.to_json().map_err(failed)?,
    };
    let mut annotations = json!({ REQUESTED_AT: requested_at.to_string() });
    if let Some(saved) = saved {
        let directory = snapshots::directory(work.access, work.snapshot);
        annotations[keys::FIRST_BOOT_FILE] = json!(format!("{directory}/{}", saved.sha256.hex()));
    }
    // The token of an init document is used by nobody, so its end makes nothing stale.
    if !init {
        annotations[TOKEN_EXPIRES] = json!(seconds(expires));
        annotations[TOKEN_ID] = json!(token.id);
    }
    // The driver's object is there before its machine is, and its data go with it.
    let owner = provider.owner_ref(&()).filter(|_| pushed);
    secrets::write_bootstrap(work.access, (&wanted.name, machine), &data, annotations, owner).await?;
    Ok(None)
}

fn document(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    (role, init, saved): (MachineRole, bool, Option<EtcdSnapshot>),
    pki: &ClusterPki,
    token: &Token,
) -> Result<BootstrapDocument, node_config::Error> {
    let secrets = || JoinSecrets {
        token: token.whole.clone(),
        ca_cert_hash: pki.ca_cert_hash().unwrap_or_default(),
    };
    if let Some(saved) = saved {
        return node_config::restore(cluster, node, &ca_files(pki), &token.whole, saved);
    }
    match (init, role) {
        (true, _) => node_config::init(cluster, node, &ca_files(pki), &token.whole),
        (false, MachineRole::ControlPlane) => {
            node_config::join_control_plane(cluster, node, &ca_files(pki), &secrets())
        }
        (false, MachineRole::Worker) => node_config::join_worker(cluster, node, &secrets()),
    }
}

fn ca_files(pki: &ClusterPki) -> CaFiles {
    CaFiles {
        ca_certificate: pki.ca.certificate.clone(),
        ca_key: pki.ca.key.clone(),
        etcd_certificate: pki.etcd.certificate.clone(),
        etcd_key: pki.etcd.key.clone(),
        front_proxy_certificate: pki.front_proxy.certificate.clone(),
        front_proxy_key: pki.front_proxy.key.clone(),
        service_account_public: pki.service_account.public.clone(),
        service_account_private: pki.service_account.private.clone(),
    }
}

/// What all nodes with this version of Kubernetes share, without what is secret.
pub(crate) fn settings(work: &Work<'_>, wanted: &Wanted, version: &str) -> Result<ClusterSettings, Error> {
    let images = Images::from_release(&work.release(version)).map_err(|source| Error::NodeConfig {
        machine: wanted.name.clone(),
        source,
    })?;
    let incomplete = |field| Error::Incomplete {
        what: format!("Cluster {}", wanted.name),
        field,
    };
    Ok(ClusterSettings {
        name: wanted.name.clone(),
        endpoint: wanted
            .endpoint
            .parse()
            .map_err(|_| incomplete("an endpoint that is an address"))?,
        address_holder: wanted.address_holder.clone(),
        kubernetes_version: version.to_owned(),
        pod_cidr: wanted.pod_cidr.clone(),
        service_cidr: wanted.service_cidr.clone(),
        node_mask: wanted.node_mask,
        cert_sans: wanted.cert_sans.clone(),
        api_server_extra_args: wanted.api_server_extra_args.clone(),
        audit_policy: wanted.audit_policy.clone(),
        appliance: wanted.appliance.clone(),
        proxy: wanted.proxy.clone(),
        registry_mirror: wanted.registry_mirror.clone(),
        registry_credentials: None,
        resolv_conf: wanted.resolv_conf.clone(),
        profile: work.profile,
        images,
        system: system(wanted).ok_or_else(|| incomplete("an osFamily whose machines can be installed"))?,
    })
}

/// The operating system of the machines: all groups have one family.
fn system(wanted: &Wanted) -> Option<System> {
    let pool = wanted.pools.first()?;
    System::of(&pool.os_family)
}

fn node(
    (pool, version): (&Pool, &str),
    machine: &str,
    provider: &ProviderMachine,
) -> Result<NodeSettings, Error> {
    let status = provider.status.clone().unwrap_or_default();
    let incomplete = |field| Error::Incomplete {
        what: format!("ProviderMachine {machine}"),
        field,
    };
    let address = |kind: &str| {
        let found = status.addresses.iter().find(|address| address.kind == kind);
        found.map(|address| address.address.clone())
    };
    let (name, place) = match provider.spec.bootstrap.mode {
        // It has the name of its machine by its user data.
        BootstrapMode::Push => (machine.to_owned(), NodePlace::Found),
        BootstrapMode::Pull => (
            address("Hostname").ok_or_else(|| incomplete("a host name"))?,
            NodePlace::Known {
                ip: address("InternalIP")
                    .and_then(|address| address.parse().ok())
                    .ok_or_else(|| incomplete("an IPv4 address"))?,
                mac: status.mac.ok_or_else(|| incomplete("a MAC address"))?,
                provider_id: status
                    .provider_id
                    .clone()
                    .ok_or_else(|| incomplete("a providerID"))?,
            },
        ),
    };
    Ok(NodeSettings {
        name,
        place,
        labels: pool.node_labels(version),
        taints: pool.taints.clone(),
        kubelet: pool.kubelet.clone(),
        time_servers: pool.time_servers.clone(),
        cert_bundles: pool.cert_bundles.clone(),
    })
}

/// When a token that ends at some time is worth nothing any more.
pub(crate) fn is_over(expires: Option<Timestamp>, now: Timestamp) -> bool {
    expires.is_some_and(|end| end < now)
}
