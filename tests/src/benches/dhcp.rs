//! DHCP exchanges (DISCOVER, OFFER, REQUEST, ACK) of machines with reservations behind a relay: how fast with one and
//! with 32 under way, and a burst of 4,096 that start at once. Beside it Kea with one thread and its lease file, which
//! it does not sync; ours syncs each lease before its ACK. Goals: perf.md B1 and B2.
//!
//! Each run has new servers and machines that have no lease yet, so no exchange is served from an earlier one.

mod kea;
mod load;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::unistd::Uid;

use super::cable::{CLIENT_LINK, Cable, SERVER_LINK};
use super::footprint::process::Process;
use super::footprint::{self, installed};
use super::{Case, Findings, Peer, RUNS};
use crate::rack::done;
use crate::server::program;
use load::{Load, Outcome};

/// Machines with reservations.
const MACHINES: usize = 10_000;
/// The address of the relay, in the network of the machines.
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 127, 255, 254);
/// The network of the machines, and its netmask.
const NETWORK: (&str, &str) = ("10.64.0.0/10", "255.192.0.0");

/// What each server is asked for in a run: which machines, and how many of them at once.
const LOADS: [(&str, Load); 3] = [
    ("one under way", load(0, 1_000, 1)),
    ("32 under way", load(1_000, 4_904, 32)),
    ("a burst of 4,096", load(5_904, 4_096, 4_096)),
];

const fn load(first: usize, count: usize, at_once: usize) -> Load {
    Load {
        first,
        count,
        at_once,
    }
}

/// What came of a load, and the processor time that the server took for it.
type Served = (Outcome, Duration);

/// Outcomes of all runs, by load.
type Outcomes = BTreeMap<usize, Vec<Served>>;

/// A figure of one load.
type Figure<'a> = &'a dyn Fn(&Served) -> f64;

pub(super) fn run() -> anyhow::Result<Findings> {
    ensure!(Uid::effective().is_root(), "network namespaces need root");
    let kea = installed("/usr/sbin/kea-dhcp4", "kea-dhcp4-server")?;
    let cable = Cable::lay()?;
    for line in [
        format!("-n {} address add {RELAY}/10 dev {CLIENT_LINK}", cable.client),
        format!("-n {} route add {} dev {SERVER_LINK}", cable.server, NETWORK.0),
    ] {
        done(Command::new("ip").args(line.split(' ')))?;
    }
    let folder = tempfile::tempdir()?;
    let (parts, csv) = (folder.path().join("parts"), folder.path().join("hardware.csv"));
    done(Command::new(program()?).args(["image", "export"]).arg(&parts))?;
    std::fs::write(&csv, rows()?)?;
    let (mut ours, mut peer) = (Outcomes::new(), Outcomes::new());
    for _ in 0..RUNS {
        let site = tempfile::tempdir()?;
        let ready = footprint::api(&cable, site.path(), false);
        let server = footprint::serve(&cable, site.path(), &parts)?;
        ready.since(server.began)?;
        import(&cable, site.path(), &csv)?;
        measure(&cable, &server, &mut ours)?;
        server.end()?;
        let site = tempfile::tempdir()?;
        let server = kea::start(&kea, &cable, site.path())?;
        measure(&cable, &server, &mut peer)?;
        server.end()?;
    }
    cases(&ours, &peer)
}

/// Address and hardware address of a machine.
fn machine(number: usize) -> anyhow::Result<(Ipv4Addr, [u8; 6])> {
    let [_, a, b, c] = u32::try_from(number)?.to_be_bytes();
    Ok((Ipv4Addr::new(10, 64 + a, b, c), [2, 0, 2, a, b, c]))
}

fn rows() -> anyhow::Result<String> {
    let mut text = String::from("hostname,ip_address,netmask,gateway,nameservers,mac,disk,labels\n");
    for number in 1..=MACHINES {
        let (address, mac) = machine(number)?;
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let mask = NETWORK.1;
        writeln!(
            text,
            "node-{number},{address},{mask},{RELAY},{RELAY},{mac},/dev/sda,type=worker"
        )?;
    }
    Ok(text)
}

fn import(cable: &Cable, site: &Path, csv: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &cable.server]).arg(program()?);
    command
        .arg("--kubeconfig")
        .arg(site.join("data/admin.kubeconfig"));
    command.args(["apply", "hardware", "-z"]).arg(csv);
    done(&mut command).map(drop)
}

/// All loads, one after the other.
fn measure(cable: &Cable, server: &Process, outcomes: &mut Outcomes) -> anyhow::Result<()> {
    // The last machine is served, so all are.
    load::run(cable, load(MACHINES - 1, 1, 1))?;
    server.settle();
    for (at, (what, load)) in LOADS.iter().enumerate() {
        let before = server.cpu()?;
        let outcome = load::run(cable, *load).with_context(|| (*what).to_owned())?;
        let used = server.cpu()?.saturating_sub(before);
        outcomes.entry(at).or_default().push((outcome, used));
    }
    Ok(())
}

fn cases(ours: &Outcomes, peer: &Outcomes) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let figures = |outcomes: &Outcomes, at: usize, of: Figure<'_>| -> Vec<f64> {
        outcomes.get(&at).into_iter().flatten().map(of).collect()
    };
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let each = |(outcome, _): &Served| milliseconds(outcome.took) * 1e3 / outcome.done as f64;
    let late = |(outcome, _): &Served| milliseconds(outcome.late);
    let last = |(outcome, _): &Served| milliseconds(outcome.took);
    let lost = |(outcome, _): &Served| (outcome.asked - outcome.done) as f64;
    let cpu = |(outcome, used): &Served| milliseconds(*used) * 1e3 / outcome.done as f64;
    let kea = |at, of: Figure<'_>| figures(peer, at, of);
    let rows: [(_, _, _, Figure<'_>, Option<f64>); 7] = [
        ("one under way, time of each", "us", 0, &each, None),
        ("one under way, 99th percentile", "ms", 0, &late, Some(0.4)),
        ("32 under way, time of each", "us", 1, &each, None),
        ("32 under way, 99th percentile", "ms", 1, &late, None),
        ("32 under way, CPU of each", "us", 1, &cpu, None),
        ("burst of 4,096, not answered", "", 2, &lost, Some(0.0)),
        ("burst of 4,096, last ACK", "ms", 2, &last, Some(150.0)),
    ];
    for (case, unit, at, of, goal) in rows {
        let runs = kea(at, of);
        findings.cases.push(Case {
            case,
            unit,
            runs: figures(ours, at, of),
            goal: goal.unwrap_or_else(|| super::spread(&runs).1),
            peer: Some(Peer { name: "kea", runs }),
        });
    }
    let busy = ours.values().flatten().map(|(outcome, _)| outcome.client);
    let busiest = busy.fold(0.0, f64::max);
    findings.notes.push(format!(
        "{MACHINES} machines; the load generator used up to {:.0} % of one core of those that the servers have too",
        busiest * 100.0
    ));
    Ok(findings)
}
