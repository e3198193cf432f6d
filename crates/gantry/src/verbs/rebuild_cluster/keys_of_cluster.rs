//! The keys of a cluster, as they lie in /etc/kubernetes/pki of a machine of its control plane.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret as KubeSecret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pki::{ClusterPki, Credential, ServiceAccountKeys, Validity};
use resources::{Secret, keys};

use crate::failure::{Failure, Outcome};

/// How long the administrator's certificate counts with which the cluster is asked.
const ADMINISTRATOR: SignedDuration = SignedDuration::from_mins(15);
const CONNECT: Duration = Duration::from_secs(10);

/// The keys of a cluster, each of which is that of its certificate.
pub(super) struct KeysOfCluster {
    pki: ClusterPki,
}

impl KeysOfCluster {
    /// Reads the directory; all files that are missing at once.
    pub(super) fn read(directory: &Path) -> Outcome<Self> {
        let mut missing = Vec::new();
        let mut file = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| {
                missing.push(format!("{}: {error}", path.display()));
                String::new()
            })
        };
        let mut pair = |certificate: &str, key: &str| Credential {
            certificate: file(certificate),
            key: Secret::new(file(key)),
        };
        let (ca, etcd) = (pair("ca.crt", "ca.key"), pair("etcd/ca.crt", "etcd/ca.key"));
        let front_proxy = pair("front-proxy-ca.crt", "front-proxy-ca.key");
        let sa = pair("sa.pub", "sa.key");
        if !missing.is_empty() {
            return Err(Failure::BadInput(format!(
                "{}\na copy of /etc/kubernetes/pki of a machine of the control plane has these files",
                missing.join("\n")
            )));
        }
        let pki = ClusterPki {
            ca,
            etcd,
            front_proxy,
            service_account: ServiceAccountKeys {
                public: sa.certificate,
                private: sa.key,
            },
        };
        pki.check().map_err(|error| {
            Failure::BadInput(format!("{}: {}", directory.display(), causes::line(&error)))
        })?;
        Ok(Self { pki })
    }

    /// A client of the cluster at this URL, which has let it in and shown that both CAs that its API server trusts are these.
    pub(super) async fn client(&self, server: &str, cluster: &str) -> Outcome<Client> {
        let validity = Validity::lasting(Timestamp::now(), ADMINISTRATOR);
        let failed = |why: String| Failure::text(format!("the cluster at {server} can't be asked: {why}"));
        let text = self
            .pki
            .admin_kubeconfig(server, cluster, validity)
            .map_err(|error| failed(causes::line(&error)))?;
        // An error of the parser would quote the key.
        let unusable = || failed("its keys can't be used".to_owned());
        let file = Kubeconfig::from_yaml(text.reveal()).map_err(|_| unusable())?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .map_err(|_| unusable())?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(CONNECT);
        let client = Client::try_from(config).map_err(|_| unusable())?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
        let trusted = maps
            .get("extension-apiserver-authentication")
            .await
            .map_err(|error| {
                failed(format!(
                    "{}; is the directory that of its control plane?",
                    causes::line(&error)
                ))
            })?;
        let trusted = trusted.data.unwrap_or_default();
        for (key, file, mine) in [
            ("client-ca-file", "ca.crt", &self.pki.ca.certificate),
            (
                "requestheader-client-ca-file",
                "front-proxy-ca.crt",
                &self.pki.front_proxy.certificate,
            ),
        ] {
            let theirs = trusted.get(key).map(|text| text.trim());
            if theirs != Some(mine.trim()) {
                return Err(failed(format!(
                    "{file} is not the certificate that it trusts ({key})"
                )));
            }
        }
        Ok(client)
    }

    /// Makes the Secrets of the authorities. One that is there stays as it is.
    pub(super) async fn write(&self, client: &Client, namespace: &str, cluster: &str) -> Outcome {
        let sa = Credential {
            certificate: self.pki.service_account.public.clone(),
            key: self.pki.service_account.private.clone(),
        };
        let api: Api<KubeSecret> = Api::namespaced(client.clone(), namespace);
        for (part, credential) in [
            ("ca", &self.pki.ca),
            ("etcd", &self.pki.etcd),
            ("proxy", &self.pki.front_proxy),
            ("sa", &sa),
        ] {
            let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
            let secret = KubeSecret {
                metadata: ObjectMeta {
                    name: Some(format!("{cluster}-{part}")),
                    labels: Some([(keys::CLUSTER_NAME.to_owned(), cluster.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                type_: Some(keys::CLUSTER_SECRET_TYPE.to_owned()),
                data: Some(
                    [
                        ("tls.crt".to_owned(), bytes(&credential.certificate)),
                        ("tls.key".to_owned(), bytes(credential.key.reveal())),
                    ]
                    .into(),
                ),
                ..KubeSecret::default()
            };
            let params = PostParams {
                field_manager: Some(keys::MANAGER_CLI.to_owned()),
                ..PostParams::default()
            };
            match api.create(&params, &secret).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sim::Kubernetes;

    use super::*;

    /// A directory with these keys, without the file of this name.
    fn directory(pki: &ClusterPki, without: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etcd")).unwrap();
        for (name, text) in [
            ("ca.crt", &pki.ca.certificate),
            ("ca.key", pki.ca.key.reveal()),
            ("etcd/ca.crt", &pki.etcd.certificate),
            ("etcd/ca.key", pki.etcd.key.reveal()),
            ("front-proxy-ca.crt", &pki.front_proxy.certificate),
            ("front-proxy-ca.key", pki.front_proxy.key.reveal()),
            ("sa.pub", &pki.service_account.public),
            ("sa.key", pki.service_account.private.reveal()),
        ] {
            if name != without {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
        }
        folder
    }

    fn fresh() -> ClusterPki {
        ClusterPki::generate(Validity::lasting(Timestamp::now(), ADMINISTRATOR)).unwrap()
    }

    fn refused(result: Outcome<KeysOfCluster>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn what_is_missing_or_belongs_elsewhere_is_named_and_no_key_is_shown() {
        let pki = fresh();
        KeysOfCluster::read(directory(&pki, "").path()).unwrap();
        let missing = refused(KeysOfCluster::read(directory(&pki, "etcd/ca.key").path()));
        assert!(missing.contains("etcd/ca.key"), "{missing}");
        let nothing = refused(KeysOfCluster::read(Path::new("/nonexistent")));
        assert_eq!(nothing.lines().count(), 9, "{nothing}");
        let mixed = ClusterPki {
            etcd: Credential {
                key: fresh().etcd.key,
                ..pki.etcd.clone()
            },
            ..pki
        };
        let mixed = refused(KeysOfCluster::read(directory(&mixed, "").path()));
        assert!(
            mixed.contains("the private key of the etcd CA is not that of"),
            "{mixed}"
        );
        assert!(!mixed.contains("BEGIN"), "{mixed}");
    }

    #[tokio::test]
    async fn a_real_cluster_lets_in_whoever_has_its_keys_and_nobody_else() {
        let cluster = Kubernetes::start().await;
        let url = format!("https://127.0.0.1:{}", cluster.port());
        let ask = async |pki: &ClusterPki| {
            let keys = KeysOfCluster::read(directory(pki, "").path())?;
            let client = keys.client(&url, "real").await?;
            Ok::<_, Failure>(client.apiserver_version().await?)
        };
        ask(cluster.pki()).await.unwrap();
        let stranger = ask(&fresh()).await.err().unwrap().to_string();
        assert!(
            stranger.contains("is the directory that of its control plane?"),
            "{stranger}"
        );
        let other_proxy = ClusterPki {
            front_proxy: fresh().front_proxy,
            ..cluster.pki().clone()
        };
        let mixed = ask(&other_proxy).await.err().unwrap().to_string();
        assert!(
            mixed.contains("front-proxy-ca.crt is not the certificate that it trusts"),
            "{mixed}"
        );
    }
}
