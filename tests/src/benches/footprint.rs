//! Size of the programs, memory and CPU when idle, and start until the first answer, with every boot service on, without
//! machines and with up to 100,000. Goals: DESIGN §6.
//!
//! On its first start the appliance knows no machine: the first OFFER is that to a Hardware which is made once the API
//! answers.

mod dnsmasq;
mod inventory;

use std::path::PathBuf;

use kube::api::{Api, PostParams};
use resources::keys::DEFAULT_NAMESPACE;
use resources::tinkerbell::Hardware;
use serde_json::json;

use super::cable::{Cable, SERVER};
use super::kube_api::{self, KubeApi};
use super::machines::spelled;
use super::probes::{self, MAC, RESERVED};
use super::site::{HTTP, Parts, Site};
use super::{Case, Findings, Goal, RUNS};
use crate::server::program;

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
    let cable = Cable::lay()?;
    let parts = Parts::with(&[])?;
    let mut figures = Figures::default();
    for _ in 0..RUNS {
        let site = Site::new()?;
        figures.first_start(&cable, &site, &parts)?;
        figures.later_start(&cable, &site, &parts)?;
        let peer = dnsmasq::start(&cable, &parts.boot())?;
        figures.dnsmasq_offer.push(peer.offer);
        figures.dnsmasq_tftp.push(peer.tftp);
        figures.dnsmasq_resident.push(peer.resident);
        let peer = KubeApi::start(&cable)?;
        peer.api.settle();
        figures.kube_api.push(peer.answer);
        figures
            .kube_resident
            .push(peer.etcd.resident()? + peer.api.resident()?);
        peer.end()?;
    }
    let mut cases = figures.cases()?;
    cases.extend(inventory::run(&cable, &parts)?);
    Ok(Findings {
        cases,
        notes: vec![
            "dnsmasq does DHCP and TFTP alone; kube-apiserver and etcd serve the API alone".to_owned(),
        ],
    })
}

impl Figures {
    /// With nothing on disk.
    fn first_start(&mut self, cable: &Cable, site: &Site, parts: &Parts) -> anyhow::Result<()> {
        let make = async |client| {
            let api: Api<Hardware> = Api::namespaced(client, DEFAULT_NAMESPACE);
            api.create(&PostParams::default(), &machine()?).await?;
            Ok(())
        };
        let (api, offer) = (site.api(cable, make), probes::dhcp(cable));
        let server = site.serve(cable, parts, &[])?;
        self.first_api.push(site.shown(api.since(server.began))?);
        self.first_offer.push(site.shown(offer.since(server.began))?);
        server.end()
    }

    /// With what the first start left, a machine among it.
    fn later_start(&mut self, cable: &Cable, site: &Site, parts: &Parts) -> anyhow::Result<()> {
        let api = site.api(cable, async |_| Ok(()));
        let (offer, tftp) = (probes::dhcp(cable), probes::tftp(cable));
        let http = probes::http(cable, HTTP);
        let server = site.serve(cable, parts, &[])?;
        self.api.push(site.shown(api.since(server.began))?);
        self.offer.push(site.shown(offer.since(server.began))?);
        self.tftp.push(site.shown(tftp.since(server.began))?);
        self.http.push(site.shown(http.since(server.began))?);
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
        let case =
            |name: &str, unit, most, runs: &[f64]| Case::new(name, unit, runs.to_vec(), Goal::AtMost(most));
        let dnsmasq = |case: Case, runs: &[f64]| case.beside("dnsmasq", runs.to_vec());
        let kube = |case: Case, runs: &[f64]| case.beside(kube_api::NAME, runs.to_vec());
        let start = |name: &str, runs: &[f64]| case(name, "ms", 100.0, runs);
        let memory = |name: &str| case(name, "MB", 36.0, &self.resident);
        Ok(vec![
            case("size of gantry", "MB", 25.0, &size(program()?)?),
            case("size of gantry-agent", "MB", 25.0, &size(agent)?),
            dnsmasq(memory("idle memory (RSS)"), &self.dnsmasq_resident),
            kube(memory("idle memory (RSS), for the API"), &self.kube_resident),
            case("idle CPU", "%", 0.2, &self.idle),
            kube(
                start("first start to API answer", &self.first_api),
                &self.kube_api,
            ),
            dnsmasq(
                start("first start to first DHCP offer", &self.first_offer),
                &self.dnsmasq_offer,
            ),
            start("later start to API answer", &self.api),
            dnsmasq(
                start("later start to first DHCP offer", &self.offer),
                &self.dnsmasq_offer,
            ),
            dnsmasq(
                start("later start to first TFTP block", &self.tftp),
                &self.dnsmasq_tftp,
            ),
            start("later start to first HTTP answer", &self.http),
        ])
    }
}

fn machine() -> serde_json::Result<Hardware> {
    serde_json::from_value(json!({
        "apiVersion": "tinkerbell.org/v1alpha1",
        "kind": "Hardware",
        "metadata": {"name": "bench", "namespace": DEFAULT_NAMESPACE},
        "spec": {"interfaces": [{
            "dhcp": {"mac": spelled(MAC), "hostname": "bench", "lease_time": 3600, "ip": {
                "address": RESERVED.to_string(), "netmask": "255.255.255.0", "gateway": SERVER.to_string(),
            }},
            "netboot": {"allowPXE": true},
        }]},
    }))
}
