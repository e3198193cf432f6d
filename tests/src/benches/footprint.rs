//! Size of the programs, memory and CPU when idle, and start until the first answer, with every boot service on. Goals:
//! DESIGN §6.
//!
//! The appliance runs in a namespace of its own with its address on the interface already, as dnsmasq beside it: an
//! address that it has to add is first looked for on the network for 750 ms, which is no work of the appliance.
//! On its first start it knows no machine: the first OFFER is that to a Hardware which is made once the API answers.

mod peers;
pub(super) mod probes;
pub(super) mod process;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use kube::api::{Api, PostParams};
use nix::unistd::Uid;
use resources::keys::DEFAULT_NAMESPACE;
use resources::tinkerbell::Hardware;
use serde_json::json;

use super::cable::{Cable, SERVER, SERVER_LINK};
use super::{Case, Findings, Peer, RUNS};
use crate::rack::done;
use crate::server::{client, program};
pub(super) use peers::installed;
use probes::{MAC, RESERVED};
use process::Process;

const HTTP: u16 = 7080;

/// All runs of every figure.
#[derive(Debug, Default)]
struct Figures {
    first_api: Vec<f64>,
    first_offer: Vec<f64>,
    api: Vec<f64>,
    offer: Vec<f64>,
    tftp: Vec<f64>,
    http: Vec<f64>,
    resident: Vec<f64>,
    idle: Vec<f64>,
    dnsmasq_offer: Vec<f64>,
    dnsmasq_tftp: Vec<f64>,
    dnsmasq_resident: Vec<f64>,
    kube_api: Vec<f64>,
    kube_resident: Vec<f64>,
}

pub(super) fn run() -> anyhow::Result<Findings> {
    ensure!(Uid::effective().is_root(), "network namespaces need root");
    let cable = Cable::lay()?;
    let folder = tempfile::tempdir()?;
    let parts = folder.path().join("parts");
    done(Command::new(program()?).args(["image", "export"]).arg(&parts))?;
    let mut figures = Figures::default();
    for _ in 0..RUNS {
        let site = tempfile::tempdir()?;
        figures.first_start(&cable, site.path(), &parts)?;
        figures.later_start(&cable, site.path(), &parts)?;
        let peer = peers::dnsmasq(&cable, &parts.join("boot"))?;
        figures.dnsmasq_offer.push(peer.offer);
        figures.dnsmasq_tftp.push(peer.tftp);
        figures.dnsmasq_resident.push(peer.resident);
        let peer = peers::kube_api(&cable)?;
        figures.kube_api.push(peer.answer);
        figures.kube_resident.push(peer.resident);
    }
    Ok(Findings {
        cases: figures.cases()?,
        notes: vec![
            "dnsmasq does DHCP and TFTP alone; kube-apiserver and etcd serve the API alone".to_owned(),
        ],
    })
}

impl Figures {
    /// With nothing on disk.
    fn first_start(&mut self, cable: &Cable, site: &Path, parts: &Path) -> anyhow::Result<()> {
        let (api, offer) = (api(cable, site, true), probes::dhcp(cable));
        let server = serve(cable, site, parts)?;
        self.first_api.push(told(api.since(server.began), site)?);
        self.first_offer.push(told(offer.since(server.began), site)?);
        server.end()
    }

    /// With what the first start left, a machine among it.
    fn later_start(&mut self, cable: &Cable, site: &Path, parts: &Path) -> anyhow::Result<()> {
        let api = api(cable, site, false);
        let (offer, tftp) = (probes::dhcp(cable), probes::tftp(cable));
        let http = probes::http(cable, HTTP);
        let server = serve(cable, site, parts)?;
        self.api.push(told(api.since(server.began), site)?);
        self.offer.push(told(offer.since(server.began), site)?);
        self.tftp.push(told(tftp.since(server.began), site)?);
        self.http.push(told(http.since(server.began), site)?);
        server.settle();
        self.resident.push(server.resident()?);
        self.idle.push(server.idle_cpu()?);
        server.end()
    }

    fn cases(self) -> anyhow::Result<Vec<Case>> {
        let agent = program()?.with_file_name("gantry-agent");
        let size = |path: PathBuf| -> anyhow::Result<Vec<f64>> {
            Ok(vec![std::fs::metadata(path)?.len() as f64 / 1e6])
        };
        let dnsmasq = |runs: &[f64]| peer("dnsmasq", runs);
        let kube = |runs: &[f64]| peer("kube-apiserver + etcd", runs);
        let case = |case, unit, goal, runs, peer| Case {
            case,
            unit,
            runs,
            peer,
            goal,
        };
        Ok(vec![
            case("size of gantry", "MB", 25.0, size(program()?)?, None),
            case("size of gantry-agent", "MB", 25.0, size(agent)?, None),
            case(
                "idle memory (RSS)",
                "MB",
                36.0,
                self.resident.clone(),
                dnsmasq(&self.dnsmasq_resident),
            ),
            case(
                "idle memory (RSS), for the API",
                "MB",
                36.0,
                self.resident,
                kube(&self.kube_resident),
            ),
            case("idle CPU", "%", 0.2, self.idle, None),
            case(
                "first start to API answer",
                "ms",
                100.0,
                self.first_api,
                kube(&self.kube_api),
            ),
            case(
                "first start to first DHCP offer",
                "ms",
                100.0,
                self.first_offer,
                dnsmasq(&self.dnsmasq_offer),
            ),
            case("later start to API answer", "ms", 100.0, self.api, None),
            case(
                "later start to first DHCP offer",
                "ms",
                100.0,
                self.offer,
                dnsmasq(&self.dnsmasq_offer),
            ),
            case(
                "later start to first TFTP block",
                "ms",
                100.0,
                self.tftp,
                dnsmasq(&self.dnsmasq_tftp),
            ),
            case("later start to first HTTP answer", "ms", 100.0, self.http, None),
        ])
    }
}

fn peer(name: &'static str, runs: &[f64]) -> Option<Peer> {
    Some(Peer {
        name,
        runs: runs.to_vec(),
    })
}

/// Starts the appliance with everything on.
pub(super) fn serve(cable: &Cable, site: &Path, parts: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(program()?);
    command.arg("serve");
    for (flag, path) in [
        ("--data", site.join("data")),
        ("--key-dir", site.join("keys")),
        ("--parts", parts.to_owned()),
    ] {
        command.arg(flag).arg(path);
    }
    let address = SERVER.to_string();
    command.args(["--interface", SERVER_LINK, "--address", &address]);
    command.args(["--http-port", &HTTP.to_string()]);
    command.env_remove("GANTRY_CONFIG");
    Process::start(&cable.server, command, &site.join("log"))
}

/// Asks for the API; with `new` the machine is made once it answers.
pub(super) fn api(cable: &Cable, site: &Path, new: bool) -> probes::Asking {
    let kubeconfig = site.join("data/admin.kubeconfig");
    let connect = async move || client(&kubeconfig).await;
    probes::api(&cable.server, connect, async move |client| {
        if new {
            let api: Api<Hardware> = Api::namespaced(client, DEFAULT_NAMESPACE);
            api.create(&PostParams::default(), &machine()?).await?;
        }
        Ok(())
    })
}

fn machine() -> serde_json::Result<Hardware> {
    let mac = MAC.map(|octet| format!("{octet:02x}")).join(":");
    serde_json::from_value(json!({
        "apiVersion": "tinkerbell.org/v1alpha1",
        "kind": "Hardware",
        "metadata": {"name": "bench", "namespace": DEFAULT_NAMESPACE},
        "spec": {"interfaces": [{
            "dhcp": {"mac": mac, "hostname": "bench", "lease_time": 3600, "ip": {
                "address": RESERVED.to_string(), "netmask": "255.255.255.0", "gateway": SERVER.to_string(),
            }},
            "netboot": {"allowPXE": true},
        }]},
    }))
}

/// A failure with what the appliance logged.
fn told(result: anyhow::Result<f64>, site: &Path) -> anyhow::Result<f64> {
    result.map_err(|error| error.context(std::fs::read_to_string(site.join("log")).unwrap_or_default()))
}
