//! kube-apiserver with etcd, from the image cache that the node image is built from.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use kube::{Client, Config};
use tempfile::TempDir;

use super::cable::{Cable, SERVER};
use super::leftovers;
use super::probes;
use super::process::Process;
use crate::command::done;
use crate::server::program;

/// How the pair is named in results.
pub(super) const NAME: &str = "kube-apiserver + etcd";
/// Ports in the namespace.
const API: u16 = 6443;
const ETCD: u16 = 2379;
/// The administrator's.
pub(super) const TOKEN: &str = "a-token-of-this-benchmark";

/// A running pair with empty data at first.
pub(super) struct KubeApi {
    pub(super) etcd: Process,
    pub(super) api: Process,
    /// From etcd's start to the first answer, milliseconds.
    pub(super) answer: f64,
    _folder: TempDir,
}

impl KubeApi {
    /// Starts both at the same time, as a static-pod control plane does, and waits for the first answer.
    pub(super) fn start(cable: &Cable) -> anyhow::Result<KubeApi> {
        let folder = leftovers::folder()?;
        let log = folder.path().join("log");
        let answer = probes::api(
            &cable.server,
            async || Ok(Client::try_from(config()?)?),
            async |_| Ok(()),
        );
        let etcd = Process::start(&cable.server, etcd(folder.path())?, &log)?;
        let api = Process::start(&cable.server, kube_apiserver(folder.path())?, &log)?;
        let answer = answer
            .since(etcd.began)
            .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        Ok(KubeApi {
            etcd,
            api,
            answer,
            _folder: folder,
        })
    }

    pub(super) fn end(self) -> anyhow::Result<()> {
        self.api.end()?;
        self.etcd.end()
    }
}

/// How an administrator connects.
pub(super) fn config() -> anyhow::Result<Config> {
    let mut config = Config::new(format!("https://127.0.0.1:{API}").parse()?);
    // Its certificate is its own, made at this start.
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(TOKEN.to_owned().into());
    Ok(config)
}

fn etcd(folder: &Path) -> anyhow::Result<Command> {
    let (url, peers) = (format!("http://127.0.0.1:{ETCD}"), "http://127.0.0.1:2380");
    let mut command = Command::new(cached("etcd")?.join("etcd"));
    command.arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args([
        "--listen-peer-urls",
        peers,
        "--initial-advertise-peer-urls",
        peers,
    ]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    Ok(command)
}

fn kube_apiserver(folder: &Path) -> anyhow::Result<Command> {
    let programs = cached("kubernetes")?;
    let keys = folder.join("keys");
    std::fs::write(folder.join("tokens"), format!("{TOKEN},admin,1,system:masters\n"))?;
    done(
        Command::new(programs.join("kubeadm"))
            .args(["init", "phase", "certs", "sa", "--cert-dir"])
            .arg(&keys),
    )?;
    let mut command = Command::new(programs.join("kube-apiserver"));
    let etcd = format!("http://127.0.0.1:{ETCD}");
    command.args(["--etcd-servers", &etcd, "--authorization-mode", "RBAC"]);
    command.args(["--bind-address", "127.0.0.1", "--secure-port", &API.to_string()]);
    command.args(["--advertise-address", &SERVER.to_string()]);
    command.args(["--service-cluster-ip-range", "10.96.0.0/16"]);
    command.args(["--service-account-issuer", "https://kubernetes.default.svc"]);
    for (flag, file) in [
        ("--service-account-key-file", keys.join("sa.pub")),
        ("--service-account-signing-key-file", keys.join("sa.key")),
        ("--token-auth-file", folder.join("tokens")),
        ("--cert-dir", folder.join("certs")),
    ] {
        command.arg(flag).arg(file);
    }
    Ok(command)
}

/// Folder of a part of the image cache.
fn cached(name: &str) -> anyhow::Result<PathBuf> {
    let listed = done(Command::new(program()?).args(["image", "list", "-o", "json"]))?;
    let parts: Vec<serde_json::Value> = serde_json::from_str(&listed)?;
    parts
        .iter()
        .find(|part| part["name"] == name)
        .and_then(|part| part["built"]["path"].as_str())
        .map(PathBuf::from)
        .with_context(|| format!("{name} is not in the image cache; build it with: gantry image build"))
}
