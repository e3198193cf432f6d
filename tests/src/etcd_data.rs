//! Whether the members of a cluster's etcd hold the same data: their hashes, asked of each member directly.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd::{Access, EtcdConnector as _, HashView, TlsEtcdConnector};
use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, Credential, Validity};
use resources::Secret;
use serde_json::Value;

use crate::namespace::NamespaceFile;
use crate::new_cluster::text;
use crate::objects::NAMESPACE;
use crate::rack::Rack;

const PORT: u16 = 2379;
const LIMIT: Duration = Duration::from_secs(60);

/// All `members` answer, and their hashes are equal up to one revision.
pub(crate) fn is_equal(rack: &Rack, members: usize) -> anyhow::Result<()> {
    let access = access(rack)?;
    let namespace = NamespaceFile::of(&rack.plan.site_namespace)?;
    let asked = std::thread::spawn(move || -> anyhow::Result<HashView> {
        namespace.enter()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let etcd = TlsEtcdConnector.connect(access)?;
        Ok(runtime.block_on(etcd.hash_kv(None))?)
    });
    let view = asked
        .join()
        .map_err(|_| anyhow::anyhow!("asking etcd panicked"))??;
    let answered = view.members.values().filter(|answer| answer.is_ok()).count();
    println!(
        "etcd: {answered} of {members} members gave the hash of revision {}: {:?}",
        view.revision,
        view.members.values().flatten().collect::<Vec<_>>()
    );
    ensure!(answered == members && !view.differs(), "{view:?}");
    Ok(())
}

/// All machines of the rack may be members.
fn access(rack: &Rack) -> anyhow::Result<Access> {
    let name = format!("{}-etcd", rack.plan.cluster_name);
    let secret = rack.appliance_asked(&["get", "secret", "-n", NAMESPACE, &name, "-o", "json"])?;
    let secret: Value = serde_json::from_str(&secret)?;
    let part = |key: &str| -> anyhow::Result<String> {
        let bytes = STANDARD
            .decode(text(&secret["data"][key]))
            .context(name.clone())?;
        Ok(String::from_utf8(bytes)?)
    };
    let validity = Validity::lasting(Timestamp::now(), SignedDuration::from_mins(10));
    let authorities = ClusterPki {
        etcd: Credential {
            certificate: part("tls.crt")?,
            key: Secret::new(part("tls.key")?),
        },
        ..ClusterPki::generate(validity)?
    };
    let client = authorities.etcd_client(validity)?;
    let machines = rack.plan.machines.iter();
    Ok(Access {
        endpoints: machines
            .map(|machine| SocketAddr::new(machine.ip.into(), PORT))
            .collect(),
        ca: authorities.etcd.certificate,
        certificate: client.certificate,
        key: client.key,
        limit: LIMIT,
    })
}
