//! kube-apiserver with etcd and kube-controller-manager on loopback, from the image cache.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::side::Side;

/// How long the programs may take until they answer on a busy machine.
const START: Duration = Duration::from_secs(120);
const TOKEN: &str = "admin-of-the-differences";

/// The three programs; they end with this value.
pub(super) struct RealServer {
    pub(super) client: Client,
    _programs: Vec<Child>,
    _folder: TempDir,
}

impl RealServer {
    /// Starts them and waits until the collector works.
    pub(super) async fn start() -> RealServer {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let [etcd, peers, api] = free_ports();
        files(at, api);
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut programs = vec![run(
            at,
            "etcd",
            &[
                format!("--data-dir={}", at.join("etcd").display()),
                format!("--listen-client-urls={}", url(etcd)),
                format!("--advertise-client-urls={}", url(etcd)),
                format!("--listen-peer-urls={}", url(peers)),
                format!("--initial-advertise-peer-urls={}", url(peers)),
                format!("--initial-cluster=default={}", url(peers)),
                "--unsafe-no-fsync".to_owned(),
                "--log-level=error".to_owned(),
            ],
        )];
        let file = |name: &str| at.join(name).display().to_string();
        programs.push(run(
            at,
            "kube-apiserver",
            &[
                format!("--etcd-servers={}", url(etcd)),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={api}"),
                format!("--cert-dir={}", file("certificates")),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", file("accounts.pub")),
                format!("--service-account-signing-key-file={}", file("accounts.key")),
                format!("--token-auth-file={}", file("tokens")),
                "--authorization-mode=RBAC".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
            ],
        ));
        let kubeconfig = Kubeconfig::read_from(at.join("kubeconfig")).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = Client::try_from(config.unwrap()).unwrap();
        ready(at, &client).await;
        programs.push(run(
            at,
            "kube-controller-manager",
            &[
                format!("--kubeconfig={}", file("kubeconfig")),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
                "--controllers=garbage-collector-controller,namespace-controller".to_owned(),
            ],
        ));
        let server = RealServer {
            client,
            _programs: programs,
            _folder: folder,
        };
        let side = Side::new(server.client.clone());
        let maps = side.namespace("collector-works").await;
        assert!(
            side.collector_has_looked(&maps).await,
            "the collector does not start"
        );
        server
    }
}

/// Answers `/readyz` and has its first namespace.
async fn ready(at: &Path, client: &Client) {
    let began = Instant::now();
    loop {
        let ask = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
        let up = client.request_text(ask("/readyz")).await;
        let there = client.request_text(ask("/api/v1/namespaces/default")).await;
        if up.is_ok() && there.is_ok() {
            return;
        }
        if began.elapsed() > START {
            let log = std::fs::read_to_string(at.join("kube-apiserver.log")).unwrap_or_default();
            panic!("kube-apiserver is not ready: {up:?}\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn files(at: &Path, api: u16) {
    let key = rcgen::KeyPair::generate().unwrap();
    let kubeconfig = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "real",
        "clusters": [{"name": "real", "cluster": {"server": format!("https://127.0.0.1:{api}"),
            "insecure-skip-tls-verify": true}}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}]});
    for (name, text) in [
        ("accounts.key", key.serialize_pem()),
        ("accounts.pub", key.public_key_pem()),
        ("tokens", format!("{TOKEN},admin,admin,\"system:masters\"\n")),
        ("kubeconfig", kubeconfig.to_string()),
    ] {
        std::fs::write(at.join(name), text).unwrap();
    }
}

fn run(at: &Path, name: &str, arguments: &[String]) -> Child {
    let log = std::fs::File::create(at.join(format!("{name}.log"))).unwrap();
    Command::new(program(name))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The newest build of a program in the image cache.
fn program(name: &str) -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let images = cache.expect("HOME is set").join("gantry/images");
    let built = std::fs::read_dir(&images).into_iter().flatten().flatten();
    let found = built
        .map(|folder| folder.path().join(name))
        .filter(|path| path.is_file());
    let newest = found.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    newest.unwrap_or_else(|| {
        panic!(
            "no {name} in {}: gantry image build kubernetes etcd",
            images.display()
        )
    })
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
