//! A cluster's Secrets: its authorities with Cluster API's names, type, labels and keys, its kubeconfig, and the bootstrap
//! data of its machines.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use pki::{ClusterPki, Credential, ServiceAccountKeys, Validity};
use resources::{Secret, keys};
use serde_json::{Value, json};

use crate::access::Access;
use crate::error::Error;

/// How long authorities and the administrator's kubeconfig count. The latter is renewed before it ends.
const AUTHORITY: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
const KUBECONFIG: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The Secrets' names after the cluster's.
const PARTS: [&str; 4] = ["ca", "etcd", "proxy", "sa"];

/// Annotations on a bootstrap Secret: id of the token in it and when it ends.
pub(crate) const TOKEN_ID: &str = "gantry.dev/token-id";
pub(crate) const TOKEN_EXPIRES: &str = "gantry.dev/token-expires";
/// Annotation on a bootstrap Secret: when the installation that it was made for asked for it.
pub(crate) const REQUESTED_AT: &str = "gantry.dev/requested-at";

/// Annotations on the kubeconfig's Secret: when its certificate was made, and when it ends.
pub(crate) const ISSUED_AT: &str = "gantry.dev/issued-at";
pub(crate) const EXPIRES_AT: &str = "gantry.dev/expires-at";

const BOOTSTRAP: &str = "-bootstrap";

/// Name of the Secret with a cluster's kubeconfig.
pub(crate) fn kubeconfig_secret(cluster: &str) -> String {
    format!("{cluster}-kubeconfig")
}

/// Name of a machine's bootstrap Secret.
pub(crate) fn bootstrap_secret(machine: &str) -> String {
    format!("{machine}{BOOTSTRAP}")
}

/// The machine whose bootstrap Secret has this name.
pub(crate) fn bootstrap_machine(secret: &str) -> Option<&str> {
    secret.strip_suffix(BOOTSTRAP)
}

/// Whether all authorities are among these Secrets.
pub(crate) fn complete(secrets: &BTreeSet<String>, cluster: &str) -> bool {
    PARTS
        .iter()
        .all(|part| secrets.contains(&format!("{cluster}-{part}")))
}

/// Labels of a cluster's Secrets.
fn labels(cluster: &str) -> Value {
    json!({ keys::CLUSTER_NAME: cluster })
}

/// Makes the authorities. What a start before this one made is kept: single Secrets are created, and only those that are
/// not `known`, so that who is killed in between makes progress.
pub(crate) async fn make(
    access: &Access,
    cluster: &str,
    known: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(), Error> {
    let failed = |source| Error::Pki {
        what: format!("the authorities of {cluster}"),
        source,
    };
    let new = ClusterPki::generate(Validity::lasting(now, AUTHORITY)).map_err(failed)?;
    let pair = |credential: &Credential| (credential.certificate.clone(), credential.key.reveal().clone());
    let parts = [
        ("ca", pair(&new.ca)),
        ("etcd", pair(&new.etcd)),
        ("proxy", pair(&new.front_proxy)),
        (
            "sa",
            (
                new.service_account.public.clone(),
                new.service_account.private.reveal().clone(),
            ),
        ),
    ];
    for (part, (certificate, key)) in parts {
        let name = format!("{cluster}-{part}");
        if !known.contains(&name) {
            let strings = json!({ "tls.crt": certificate, "tls.key": key });
            let object = object(cluster, strings, json!({}));
            access.create::<KubeSecret>(&name, object).await?;
        }
    }
    Ok(())
}

/// Writes a Secret of the cluster.
pub(crate) async fn write(
    access: &Access,
    cluster: &str,
    name: &str,
    strings: Value,
    annotations: Value,
) -> Result<(), Error> {
    let object = object(cluster, strings, annotations);
    access.apply::<KubeSecret>(name, object).await
}

/// Writes the bootstrap data of a machine, which go with their owner where they have one.
pub(crate) async fn write_bootstrap(
    access: &Access,
    (cluster, machine): (&str, &str),
    value: &Secret<String>,
    annotations: Value,
    owner: Option<OwnerReference>,
) -> Result<(), Error> {
    let mut object = object(cluster, json!({ "value": value.reveal() }), annotations);
    if let Some(owner) = owner {
        object["metadata"]["ownerReferences"] = json!([owner]);
    }
    access
        .apply::<KubeSecret>(&bootstrap_secret(machine), object)
        .await
}

/// A Secret of the cluster with these texts.
fn object(cluster: &str, strings: Value, annotations: Value) -> Value {
    let data: BTreeMap<String, ByteString> = strings
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            (
                key.clone(),
                ByteString(value.as_str().unwrap_or_default().as_bytes().to_vec()),
            )
        })
        .collect();
    json!({
        "metadata": { "labels": labels(cluster), "annotations": annotations },
        "type": keys::CLUSTER_SECRET_TYPE,
        "data": data,
    })
}

/// Reads the authorities, each by its name: a list would look at every Secret there is.
pub(crate) async fn read(access: &Access, cluster: &str) -> Result<ClusterPki, Error> {
    let [ca, etcd, proxy, sa] = PARTS.map(|part| pair(access, cluster, part));
    let (ca, etcd, front_proxy, sa) = futures::try_join!(ca, etcd, proxy, sa)?;
    Ok(ClusterPki {
        ca,
        etcd,
        front_proxy,
        service_account: ServiceAccountKeys {
            public: sa.certificate,
            private: sa.key,
        },
    })
}

/// Reads what makes clients of a cluster: its CA, and that of its etcd.
pub(crate) async fn read_authorities(
    access: &Access,
    cluster: &str,
) -> Result<(Credential, Credential), Error> {
    futures::try_join!(pair(access, cluster, "ca"), pair(access, cluster, "etcd"))
}

/// Both halves of one of the [`PARTS`]; of the service accounts' keys the public one is in the certificate's place.
async fn pair(access: &Access, cluster: &str, part: &str) -> Result<Credential, Error> {
    let name = format!("{cluster}-{part}");
    let secret = access.get::<KubeSecret>(&name).await?;
    let text = |key: &'static str| {
        let value = secret.as_ref().and_then(|secret| secret.data.as_ref()?.get(key));
        let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
        text.ok_or_else(|| Error::Secret {
            name: name.clone(),
            key,
        })
    };
    Ok(Credential {
        certificate: text("tls.crt")?,
        key: Secret::new(text("tls.key")?),
    })
}

/// Writes the administrator's kubeconfig.
pub(crate) async fn write_kubeconfig(
    access: &Access,
    cluster: &str,
    endpoint: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let ca = pair(access, cluster, "ca").await?;
    let validity = Validity::lasting(now, KUBECONFIG);
    let text = kubeconfig(&ca, cluster, endpoint, validity)?;
    write(
        access,
        cluster,
        &kubeconfig_secret(cluster),
        json!({ "value": text.reveal() }),
        json!({ ISSUED_AT: now.to_string(), EXPIRES_AT: validity.not_after().to_string() }),
    )
    .await
}

/// A kubeconfig for the new cluster.
pub(crate) fn kubeconfig(
    ca: &Credential,
    cluster: &str,
    endpoint: &str,
    validity: Validity,
) -> Result<Secret<String>, Error> {
    let server = format!("https://{endpoint}:6443");
    pki::admin_kubeconfig(ca, &server, cluster, validity).map_err(|source| Error::Pki {
        what: format!("the kubeconfig of {cluster}"),
        source,
    })
}
