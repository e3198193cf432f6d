//! DHCP exchanges (DISCOVER, OFFER, REQUEST, ACK) of machines with reservations behind a relay: how fast with one and
//! with 32 under way, and a burst of 4,096 that start at once. Beside it Kea with one thread and its lease file, which
//! it does not sync; ours syncs each lease before its ACK. Goals: perf.md B1 and B2.
//!
//! Each run has new servers and machines that have no lease yet, so no exchange is served from an earlier one.

mod kea;
mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;

use super::cable::Cable;
use super::process::{Process, installed};
use super::site::{Parts, Site};
use super::{Case, Findings, Goal, RUNS, leftovers, machines};
use load::{Load, Outcome};

/// Machines with reservations.
const MACHINES: usize = 10_000;

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
    let kea = installed("/usr/sbin/kea-dhcp4", "kea-dhcp4-server")?;
    let cable = Cable::lay()?;
    machines::connect(&cable)?;
    let (parts, csv) = (Parts::with(&[])?, machines::csv(MACHINES));
    let (mut ours, mut peer) = (Outcomes::new(), Outcomes::new());
    for _ in 0..RUNS {
        let site = Site::new()?;
        let server = site.start(&cable, &parts, &[])?;
        site.import(&cable, &csv)?;
        measure(&cable, &server, &mut ours)?;
        server.end()?;
        let folder = leftovers::folder()?;
        let server = kea::start(&kea, &cable, folder.path(), MACHINES)?;
        measure(&cable, &server, &mut peer)?;
        server.end()?;
    }
    Ok(cases(&ours, &peer))
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

fn cases(ours: &Outcomes, peer: &Outcomes) -> Findings {
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
    let beside = Goal::RatioAtMost(1.0);
    let rows: [(_, _, _, Figure<'_>, Goal); 7] = [
        ("one under way, time of each", "us", 0, &each, beside),
        (
            "one under way, 99th percentile",
            "ms",
            0,
            &late,
            Goal::AtMost(0.4),
        ),
        ("32 under way, time of each", "us", 1, &each, beside),
        ("32 under way, 99th percentile", "ms", 1, &late, beside),
        ("32 under way, CPU of each", "us", 1, &cpu, beside),
        ("burst of 4,096, not answered", "", 2, &lost, Goal::AtMost(0.0)),
        ("burst of 4,096, last ACK", "ms", 2, &last, Goal::AtMost(150.0)),
    ];
    for (case, unit, at, of, goal) in rows {
        let case = Case::new(case, unit, figures(ours, at, of), goal);
        findings.cases.push(case.beside("kea", figures(peer, at, of)));
    }
    for (at, (what, _)) in LOADS.iter().enumerate() {
        let both = [ours, peer].into_iter().filter_map(|outcomes| outcomes.get(&at));
        findings.client(what, both.flatten().map(|(outcome, _)| outcome.client));
    }
    findings.notes.push(format!("{MACHINES} machines"));
    findings
}
