//! What else does parts of the appliance's work: dnsmasq (DHCP, TFTP), and kube-apiserver with etcd (the API). Both from
//! their own programs: Debian's package, and the image cache that the node image is built from.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use kube::{Client, Config};

use super::probes::{self, MAC, RESERVED};
use super::process::Process;
use crate::benches::cable::{Cable, SERVER_LINK};
use crate::rack::done;
use crate::server::program;

/// kube-apiserver's and etcd's ports in the namespace.
const API: u16 = 6443;
const ETCD: u16 = 2379;

/// One start of dnsmasq.
#[derive(Debug)]
pub(super) struct Dnsmasq {
    pub(super) offer: f64,
    pub(super) tftp: f64,
    pub(super) resident: f64,
}

/// Starts dnsmasq, which is installed when it is missing.
pub(super) fn dnsmasq(cable: &Cable, boot: &Path) -> anyhow::Result<Dnsmasq> {
    let folder = tempfile::tempdir()?;
    let mac = MAC.map(|octet| format!("{octet:02x}")).join(":");
    let mut command = Command::new(installed("/usr/sbin/dnsmasq", "dnsmasq-base")?);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
    ]);
    command.args(["--bind-interfaces", "--no-ping", "--pid-file", "--enable-tftp"]);
    command.arg(format!("--interface={SERVER_LINK}"));
    command.arg(format!("--dhcp-range={RESERVED},static,1h"));
    command.arg(format!("--dhcp-host={mac},{RESERVED}"));
    command.arg(format!("--tftp-root={}", boot.display()));
    let leases = folder.path().join("leases");
    command.arg(format!("--dhcp-leasefile={}", leases.display()));
    let (offer, tftp) = (probes::dhcp(cable), probes::tftp(cable));
    let process = Process::start(&cable.server, command, &folder.path().join("log"))?;
    let offer = offer.since(process.began)?;
    let tftp = tftp.since(process.began)?;
    process.settle();
    let resident = process.resident()?;
    process.end()?;
    Ok(Dnsmasq {
        offer,
        tftp,
        resident,
    })
}

/// A peer's program, whose Debian package is installed when it is missing.
pub(in crate::benches) fn installed(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(program);
    if !path.is_file() {
        done(Command::new("apt-get").args(["install", "-qq", "-y", "--no-install-recommends", package]))
            .with_context(|| format!("the peer {package} is not there"))?;
    }
    Ok(path)
}

/// One start of kube-apiserver and etcd.
#[derive(Debug)]
pub(super) struct KubeApi {
    pub(super) answer: f64,
    pub(super) resident: f64,
}

/// Starts etcd and kube-apiserver at the same time, as a static-pod control plane does, with empty data.
pub(super) fn kube_api(cable: &Cable) -> anyhow::Result<KubeApi> {
    let folder = tempfile::tempdir()?;
    let (kubernetes, etcd) = (cached("kubernetes")?, cached("etcd")?);
    let keys = folder.path().join("keys");
    let token = "a-token-of-this-benchmark";
    std::fs::write(
        folder.path().join("tokens"),
        format!("{token},admin,1,system:masters\n"),
    )?;
    done(
        Command::new(kubernetes.join("kubeadm"))
            .args(["init", "phase", "certs", "sa", "--cert-dir"])
            .arg(&keys),
    )?;
    let log = folder.path().join("log");
    let url = format!("http://127.0.0.1:{ETCD}");
    let peers = "http://127.0.0.1:2380";
    let mut command = Command::new(etcd.join("etcd"));
    command.arg("--data-dir").arg(folder.path().join("etcd"));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args([
        "--listen-peer-urls",
        peers,
        "--initial-advertise-peer-urls",
        peers,
    ]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    let etcd = Process::start(&cable.server, command, &log)?;
    let mut command = Command::new(kubernetes.join("kube-apiserver"));
    command.args(["--etcd-servers", &url, "--authorization-mode", "RBAC"]);
    command.args(["--bind-address", "127.0.0.1", "--secure-port", &API.to_string()]);
    command.args([
        "--advertise-address",
        "10.9.0.1",
        "--service-cluster-ip-range",
        "10.96.0.0/16",
    ]);
    command.args(["--service-account-issuer", "https://kubernetes.default.svc"]);
    for (flag, file) in [
        ("--service-account-key-file", keys.join("sa.pub")),
        ("--service-account-signing-key-file", keys.join("sa.key")),
        ("--token-auth-file", folder.path().join("tokens")),
        ("--cert-dir", folder.path().join("certs")),
    ] {
        command.arg(flag).arg(file);
    }
    let connect = async move || {
        let mut config = Config::new(format!("https://127.0.0.1:{API}").parse()?);
        // Its certificate is its own, made at this start.
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(token.to_owned().into());
        Ok(Client::try_from(config)?)
    };
    let answer = probes::api(&cable.server, connect, async |_| Ok(()));
    let api = Process::start(&cable.server, command, &log)?;
    let answer = answer
        .since(etcd.began)
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    api.settle();
    let resident = etcd.resident()? + api.resident()?;
    api.end()?;
    etcd.end()?;
    Ok(KubeApi { answer, resident })
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
