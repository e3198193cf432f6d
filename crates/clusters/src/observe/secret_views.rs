//! Secrets of a cluster, without what is in them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;

use crate::secrets;

/// A bootstrap Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootstrapSeen {
    /// Id of the token in the new cluster.
    pub(crate) token_id: Option<String>,
    /// When that token ends.
    pub(crate) expires: Option<Timestamp>,
    /// When the installation that it was made for asked for it.
    pub(crate) requested_at: Option<Timestamp>,
}

impl BootstrapSeen {
    pub(super) fn of(secret: &PartialObjectMeta<KubeSecret>) -> Self {
        Self {
            token_id: secret.annotations().get(secrets::TOKEN_ID).cloned(),
            expires: time(secret, secrets::TOKEN_EXPIRES),
            requested_at: time(secret, secrets::REQUESTED_AT),
        }
    }
}

/// The Secret of the administrator's kubeconfig. One that says nothing of its certificate was made by an appliance that noted
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KubeconfigSeen {
    /// When its certificate was made.
    pub(crate) issued: Option<Timestamp>,
    /// When that ends.
    pub(crate) ends: Option<Timestamp>,
}

impl KubeconfigSeen {
    pub(super) fn of(secret: &PartialObjectMeta<KubeSecret>) -> Self {
        Self {
            issued: time(secret, secrets::ISSUED_AT),
            ends: time(secret, secrets::EXPIRES_AT),
        }
    }
}

fn time(secret: &PartialObjectMeta<KubeSecret>, key: &str) -> Option<Timestamp> {
    secret.annotations().get(key)?.parse().ok()
}
