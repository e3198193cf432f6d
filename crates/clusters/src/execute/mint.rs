//! Bootstrap data of one node: made when the node asks, with a token of a few minutes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use node_config::{BootstrapDocument, CaFiles, ClusterSettings, Images, JoinSecrets, NodeSettings};
use pki::ClusterPki;
use resources::gantry::{MachineRole, ProviderMachine, ReleaseSpec};
use serde_json::json;

use super::effects::Work;
use super::token::{Token, seconds};
use super::{REQUESTED_AT, TOKEN_EXPIRES, TOKEN_ID, bootstrap_secret, pki_secrets};
use crate::error::Error;
use crate::plan::{Desired, DesiredMachine};

/// Fills the bootstrap Secret; `Ok(Some(_))` says why it can't be done yet.
pub(crate) async fn mint(work: &Work<'_>, machine: &str, init: bool) -> Result<Option<String>, Error> {
    let Some(desired) = &work.snapshot.desired else {
        return Ok(None);
    };
    let (Some(wanted), Some(provider)) = (
        desired.machine(machine),
        work.snapshot.provider_machines.get(machine),
    ) else {
        return Ok(None);
    };
    let pki = pki_secrets::read(work.secrets, &desired.name)?;
    let token = Token::generate();
    let expires = work
        .now
        .saturating_add(SignedDuration::from_mins(i64::from(work.options.token_minutes)))
        .unwrap_or(Timestamp::MAX);
    if !init {
        // First in the cluster, then in our Secret: what a node gets always works.
        let Some(api) = &work.api else {
            return Ok(Some("waits for the cluster's API".to_owned()));
        };
        if let Err(why) = api.apply(vec![token.secret(expires)]).await {
            return Ok(Some(format!("{machine}: cannot make a bootstrap token: {why}")));
        }
    }
    let failed = |source| Error::NodeConfig {
        machine: machine.to_owned(),
        source,
    };
    let cluster = settings(work, desired)?;
    let node = node(wanted, provider)?;
    let document = document(&cluster, &node, wanted.role, init, &pki, &token).map_err(failed)?;
    let json = document.to_json().map_err(failed)?;
    // The token of an init document is used by nobody, so its end makes nothing stale.
    let mut annotations = if init {
        json!({})
    } else {
        json!({ TOKEN_EXPIRES: seconds(expires), TOKEN_ID: token.id })
    };
    if let Some(requested_at) = work.snapshot.requested_at(machine) {
        annotations[REQUESTED_AT] = json!(requested_at.to_string());
    }
    let name = bootstrap_secret(machine);
    pki_secrets::write(
        &work.access,
        &desired.name,
        &name,
        json!({ "value": json.reveal() }),
        annotations,
    )
    .await?;
    // A token that this one replaces is of no more use.
    let before = work
        .snapshot
        .bootstrap
        .get(machine)
        .and_then(|seen| seen.token_id.clone());
    if let (Some(before), Some(api)) = (before, &work.api)
        && let Err(why) = api.delete_token(Token::secret_name(&before)).await
    {
        tracing::warn!(machine, error = %why, "an old bootstrap token could not be deleted; it ends by itself");
    }
    Ok(None)
}

fn document(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    role: MachineRole,
    init: bool,
    pki: &ClusterPki,
    token: &Token,
) -> Result<BootstrapDocument, node_config::Error> {
    let secrets = || JoinSecrets {
        token: token.whole.clone(),
        ca_cert_hash: pki.ca_cert_hash().unwrap_or_default(),
    };
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

/// What all nodes share.
pub(crate) fn settings(work: &Work<'_>, desired: &Desired) -> Result<ClusterSettings, Error> {
    let release: &ReleaseSpec = work.release;
    let images = Images::from_release(release).map_err(|source| Error::NodeConfig {
        machine: desired.name.clone(),
        source,
    })?;
    let incomplete = |field| Error::Incomplete {
        what: format!("Cluster {}", desired.name),
        field,
    };
    Ok(ClusterSettings {
        name: desired.name.clone(),
        endpoint: desired
            .endpoint
            .parse()
            .map_err(|_| incomplete("an endpoint that is an address"))?,
        load_balancer: desired.load_balancer,
        vrrp_id: desired.vrrp_id,
        kubernetes_version: desired.version.clone(),
        pod_cidr: desired.pod_cidr.clone(),
        service_cidr: desired.service_cidr.clone(),
        node_mask: desired.node_mask,
        cert_sans: desired.cert_sans.clone(),
        api_server_extra_args: desired.api_server_extra_args.clone(),
        resolv_conf: desired.resolv_conf.clone(),
        profile: work.profile,
        images,
    })
}

fn node(wanted: &DesiredMachine, provider: &ProviderMachine) -> Result<NodeSettings, Error> {
    let status = provider.status.clone().unwrap_or_default();
    let incomplete = |field| Error::Incomplete {
        what: format!("ProviderMachine {}", wanted.name),
        field,
    };
    let address = |kind: &str| {
        status
            .addresses
            .iter()
            .find(|address| address.kind == kind)
            .map(|address| address.address.clone())
    };
    let labels: BTreeMap<String, String> = wanted.labels.clone();
    Ok(NodeSettings {
        name: address("Hostname").ok_or_else(|| incomplete("a host name"))?,
        ip: address("InternalIP")
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| incomplete("an IPv4 address"))?,
        mac: status.mac.ok_or_else(|| incomplete("a MAC address"))?,
        provider_id: status
            .provider_id
            .clone()
            .ok_or_else(|| incomplete("a providerID"))?,
        labels,
        taints: wanted.taints.clone(),
    })
}
