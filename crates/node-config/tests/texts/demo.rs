//! A cluster `demo` with its node, and what they are made of.

use std::collections::BTreeMap;

use node_config::{
    AddressHolder, CaFiles, ClusterSettings, HostNetwork, Images, JoinSecrets, NodePlace, NodeSettings,
    Profile, RegistryCredentials, System,
};
use resources::Secret;
use resources::anywhere::{
    CertBundle, OciNamespace, ProxyConfiguration, RegistryMirrorConfiguration, Taint, User,
};
use resources::gantry::{ComponentImage, ReleaseSpec};
use serde_json::json;

pub(crate) fn images() -> Images {
    let component = |name: &str, image: &str| ComponentImage {
        name: name.to_owned(),
        image: image.to_owned(),
        digest: None,
    };
    Images::from_release(&ReleaseSpec {
        components: vec![
            component("etcd", "registry.k8s.io/etcd:3.6.6-0"),
            component("coredns", "registry.k8s.io/coredns/coredns:v1.13.1"),
            component("flannel", "ghcr.io/flannel-io/flannel:v0.26.7"),
            component("keepalived", "gantry.dev/keepalived:trixie"),
        ],
        ..ReleaseSpec::default()
    })
    .unwrap()
}

pub(crate) fn cluster(profile: Profile) -> ClusterSettings {
    ClusterSettings {
        name: "demo".to_owned(),
        endpoint: "192.0.2.10".parse().unwrap(),
        address_holder: AddressHolder::Keepalived { router_id: 11 },
        kubernetes_version: "v1.35.4".to_owned(),
        pod_cidr: "10.244.0.0/16".to_owned(),
        service_cidr: "10.96.0.0/12".to_owned(),
        node_mask: 24,
        cert_sans: vec!["api.example.com".to_owned()],
        api_server_extra_args: BTreeMap::from([("v".to_owned(), "2".to_owned())]),
        audit_policy: None,
        appliance: "192.0.2.5".to_owned(),
        proxy: None,
        registry_mirror: None,
        registry_credentials: None,
        resolv_conf: None,
        profile,
        images: images(),
        system: System::Debian,
    }
}

/// The same cluster behind a proxy, with a registry mirror that asks for a password, and an audit policy of its own.
pub(crate) fn cluster_with_settings(profile: Profile) -> ClusterSettings {
    let mapping = |registry: &str, namespace: &str| OciNamespace {
        registry: registry.to_owned(),
        namespace: namespace.to_owned(),
    };
    ClusterSettings {
        audit_policy: Some(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n".to_owned(),
        ),
        proxy: Some(ProxyConfiguration {
            http_proxy: "http://user:p%40ss@proxy.example:3128".to_owned(),
            https_proxy: "proxy.example:3128".to_owned(),
            no_proxy: vec!["192.0.2.0/24".to_owned(), "localhost".to_owned()],
        }),
        registry_mirror: Some(RegistryMirrorConfiguration {
            endpoint: "mirror.example".to_owned(),
            port: Some("5000".to_owned()),
            oci_namespaces: vec![mapping("docker.io", "hub"), mapping("registry.k8s.io", "")],
            ca_cert_content: Some(
                "-----BEGIN CERTIFICATE-----\nfake\n-----END CERTIFICATE-----\n".to_owned(),
            ),
            authenticate: true,
            insecure_skip_verify: false,
        }),
        registry_credentials: Some(RegistryCredentials {
            username: "puller".to_owned(),
            password: Secret::new("fake \"password\" \\ of & the | mirror\u{7f}".to_owned()),
        }),
        ..cluster(profile)
    }
}

pub(crate) fn node_with_settings() -> NodeSettings {
    NodeSettings {
        kubelet: Some(json!({
            "kind": "KubeletConfiguration",
            "maxPods": 50,
            "evictionHard": { "memory.available": "200Mi" },
            "shutdownGracePeriod": "30s",
        })),
        time_servers: vec!["192.0.2.123".to_owned(), "ntp.example.com".to_owned()],
        cert_bundles: vec![CertBundle {
            name: "site".to_owned(),
            data: "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n".to_owned(),
        }],
        ..node()
    }
}

pub(crate) fn node() -> NodeSettings {
    NodeSettings {
        name: "node-1".to_owned(),
        place: NodePlace::Known {
            ip: "192.0.2.11".parse().unwrap(),
            mac: "52:54:00:00:00:01".parse().unwrap(),
            provider_id: "tinkerbell://eksa-system/node-1".to_owned(),
        },
        labels: BTreeMap::from([
            ("rack".to_owned(), "r1".to_owned()),
            ("node-role.kubernetes.io/worker".to_owned(), String::new()),
        ]),
        taints: Some(vec![Taint {
            key: "dedicated".to_owned(),
            value: Some("yes".to_owned()),
            effect: "NoSchedule".to_owned(),
            time_added: None,
        }]),
        kubelet: None,
        time_servers: Vec::new(),
        cert_bundles: Vec::new(),
    }
}

pub(crate) fn keys() -> CaFiles {
    let key = |name: &str| Secret::new(format!("fake key of {name}\n"));
    CaFiles {
        ca_certificate: "fake ca\n".to_owned(),
        ca_key: key("ca"),
        etcd_certificate: "fake etcd ca\n".to_owned(),
        etcd_key: key("etcd"),
        front_proxy_certificate: "fake front-proxy ca\n".to_owned(),
        front_proxy_key: key("front-proxy"),
        service_account_public: "fake sa public\n".to_owned(),
        service_account_private: key("sa"),
    }
}

pub(crate) fn secrets() -> JoinSecrets {
    JoinSecrets {
        token: Secret::new("abcdef.0123456789abcdef".to_owned()),
        ca_cert_hash: format!("sha256:{}", "0a".repeat(32)),
    }
}

pub(crate) fn network(vlan: Option<u16>) -> HostNetwork {
    HostNetwork {
        mac: "52:54:00:00:00:01".parse().unwrap(),
        ip: "192.0.2.11".parse().unwrap(),
        prefix: 24,
        gateway: Some("192.0.2.1".parse().unwrap()),
        nameservers: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        vlan,
    }
}

pub(crate) fn users() -> Vec<User> {
    vec![User {
        name: "admin".to_owned(),
        ssh_authorized_keys: vec!["ssh-ed25519 AAAA fake@example".to_owned()],
    }]
}
