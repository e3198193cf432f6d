//! kube-apiserver with etcd on loopback.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pki::{ClusterPki, Credential, Validity};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use resources::Secret;
use tempfile::TempDir;

use crate::Program;

const STAGES: &str = include_str!("../peers/kwok/stages.yaml");
/// How long the programs may take until they answer on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A real API without nodes and, unless [`Kubernetes::run`] starts them, without controllers.
#[derive(Debug)]
pub struct Kubernetes {
    kubeconfig: Secret<String>,
    pki: ClusterPki,
    port: u16,
    programs: Vec<Program>,
    folder: TempDir,
}

impl Kubernetes {
    /// Starts both programs and waits until the API is ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more arguments of kube-apiserver.
    pub async fn start_with(more: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let [etcd, peers, api] = free_ports();
        let validity = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1));
        let pki = ClusterPki::generate(validity).unwrap();
        let url = format!("https://127.0.0.1:{api}");
        let kubeconfig = pki.admin_kubeconfig(&url, "real", validity).unwrap();
        files(at, &pki, &kubeconfig);
        let mut arguments = api_arguments(at, etcd, api);
        arguments.extend_from_slice(more);
        let server = Self {
            kubeconfig,
            pki,
            port: api,
            programs: vec![
                Program::start("etcd", at, &etcd_arguments(at, etcd, peers)),
                Program::start("kube-apiserver", at, &arguments),
            ],
            folder,
        };
        server.ready().await;
        server
    }

    /// A client with all rights.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::from_yaml(self.kubeconfig.reveal()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    /// The kubeconfig of [`Self::client`].
    #[must_use]
    pub fn kubeconfig(&self) -> &Secret<String> {
        &self.kubeconfig
    }

    /// The keys that it was made with.
    #[must_use]
    pub const fn pki(&self) -> &ClusterPki {
        &self.pki
    }

    /// A file with that kubeconfig.
    #[must_use]
    pub fn kubeconfig_file(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Port of the API on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts another program beside them.
    pub fn run(&mut self, name: &str, arguments: &[String]) {
        let program = Program::start(name, self.folder.path(), arguments);
        self.programs.push(program);
    }

    /// Starts some controllers of kube-controller-manager beside them.
    pub fn run_controllers(&mut self, controllers: &[&str]) {
        let arguments = [
            self.kubeconfig_argument(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // Longer than KWOK takes between two renewals of a lease.
            "--node-monitor-grace-period=10m".to_owned(),
            format!("--controllers={}", controllers.join(",")),
        ];
        self.run("kube-controller-manager", &arguments);
    }

    /// Starts kube-scheduler beside them.
    pub fn run_scheduler(&mut self) {
        let arguments = [
            self.kubeconfig_argument(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        self.run("kube-scheduler", &arguments);
    }

    /// Starts KWOK beside them, which plays the kubelet of every node: `peers/kwok/stages.yaml` says how.
    pub fn run_kwok(&mut self) {
        let stages = self.folder.path().join("stages.yaml");
        std::fs::write(&stages, STAGES).unwrap();
        let arguments = [
            self.kubeconfig_argument(),
            format!("--config={}", stages.display()),
            "--manage-all-nodes".to_owned(),
            "--node-lease-duration-seconds=240".to_owned(),
        ];
        self.run("kwok", &arguments);
    }

    fn kubeconfig_argument(&self) -> String {
        format!("--kubeconfig={}", self.kubeconfig_file().display())
    }

    /// Ends etcd; the API goes on without it.
    pub async fn kill_etcd(&mut self) {
        self.programs[0].kill().await;
    }

    /// The API accepts connections and answers nothing.
    pub async fn hang_api(&self) {
        self.programs[1].hang().await;
    }

    /// The API answers again after [`Self::hang_api`].
    pub async fn answer_again(&self) {
        self.programs[1].go_on().await;
    }

    /// What all programs have said so far.
    #[must_use]
    pub fn logs(&self) -> String {
        let logs: Vec<String> = self.programs.iter().map(Program::log).collect();
        logs.join("\n")
    }

    /// Answers `/readyz` and has its first namespace.
    async fn ready(&self) {
        let client = self.client().await;
        let began = Instant::now();
        loop {
            let ask = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
            let up = client.request_text(ask("/readyz")).await;
            let there = client.request_text(ask("/api/v1/namespaces/default")).await;
            if up.is_ok() && there.is_ok() {
                return;
            }
            if began.elapsed() > START {
                panic!("kube-apiserver is not ready: {up:?}\n{}", self.logs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn etcd_arguments(at: &Path, port: u16, peers: u16) -> [String; 8] {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    [
        format!("--data-dir={}", at.join("etcd").display()),
        format!("--listen-client-urls={}", url(port)),
        format!("--advertise-client-urls={}", url(port)),
        format!("--listen-peer-urls={}", url(peers)),
        format!("--initial-advertise-peer-urls={}", url(peers)),
        format!("--initial-cluster=default={}", url(peers)),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=error".to_owned(),
    ]
}

fn api_arguments(at: &Path, etcd: u16, port: u16) -> Vec<String> {
    let file = |name: &str| at.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        // As kubeadm starts it: CNI plugins are privileged.
        "--allow-privileged=true".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file("api.crt")),
        format!("--tls-private-key-file={}", file("api.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--requestheader-client-ca-file={}", file("front-proxy-ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ]
}

fn files(at: &Path, pki: &ClusterPki, kubeconfig: &Secret<String>) {
    let serving = serving_certificate(&pki.ca, "kube-apiserver", &["127.0.0.1"]);
    for (name, text) in [
        ("ca.crt", &pki.ca.certificate),
        ("front-proxy-ca.crt", &pki.front_proxy.certificate),
        ("sa.pub", &pki.service_account.public),
        ("sa.key", pki.service_account.private.reveal()),
        ("api.crt", &serving.certificate),
        ("api.key", serving.key.reveal()),
        ("kubeconfig", kubeconfig.reveal()),
    ] {
        std::fs::write(at.join(name), text).unwrap();
    }
}

/// What kubeadm makes on a node: a certificate for `names` and addresses, for both ends of a connection.
#[must_use]
pub fn serving_certificate(authority: &Credential, common_name: &str, names: &[&str]) -> Credential {
    let ca = KeyPair::from_pem(authority.key.reveal()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, ca).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, common_name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Credential {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
