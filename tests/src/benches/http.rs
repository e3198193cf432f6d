//! Boot storms: 64, 256 and 1,000 machines at once that each fetch their iPXE script and then kernel and installer, a
//! connection for each file as iPXE does. Beside it nginx with static files, one script for all. Goals: perf.md B5.

mod served;
mod storm;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::cable::{Cable, SERVER};
use super::site::{HTTP, Parts, Site};
use super::{Case, Findings, Goal, RUNS, leftovers, machines, nginx};
use served::Served;
use storm::{Outcome, Storm};

/// Machines of the storms, and how many files each fetches of [`FILES`].
const STORMS: [(usize, usize); 3] = [(64, 2), (256, 1), (1_000, 1)];
const FILES: [&str; 2] = ["vmlinuz", "initramfs"];
/// The script of nginx.
const SCRIPT: &str = "auto.ipxe";

pub(super) fn run() -> anyhow::Result<Findings> {
    let cable = Cable::lay()?;
    machines::connect(&cable)?;
    let (parts, site) = (Parts::with(&[])?, Site::new()?);
    // A machine without a workflow boots the installer, by a script of its own.
    let server = site.start(&cable, &parts, &["--idle-installer", "true"])?;
    let most = STORMS
        .map(|(machines, _)| machines)
        .into_iter()
        .max()
        .unwrap_or_default();
    site.import(&cable, &machines::csv(most))?;
    let folder = leftovers::folder()?;
    let root = folder.path().join("root");
    std::fs::create_dir(&root)?;
    for file in FILES {
        std::os::unix::fs::symlink(parts.boot().join(file), root.join(file))?;
    }
    let ours = Served {
        process: server,
        address: SocketAddr::from((SERVER, HTTP)),
        script: |number| {
            format!(
                "/ipxe/script/{}/auto.ipxe",
                machines::spelled(machines::mac(number))
            )
        },
        files: "/boot",
    };
    let script = storm::script_of(&cable, &ours, 1)?;
    std::fs::write(root.join(SCRIPT), &script)?;
    let peer = Served {
        process: nginx::start(&cable, folder.path())?,
        address: nginx::ADDRESS,
        script: |_| format!("/{SCRIPT}"),
        files: "",
    };
    let (mut figures, mut findings) = (BTreeMap::<usize, [Vec<Outcome>; 2]>::new(), Findings::default());
    for _ in 0..RUNS {
        for (machines, files) in STORMS {
            let [our, their] = figures.entry(machines).or_default();
            let storm = |shared| Storm::new(&parts.boot(), machines, &FILES[..files], shared);
            our.push(storm::run(&cable, &ours, storm(None)?)?);
            their.push(storm::run(&cable, &peer, storm(Some(script.clone()))?)?);
        }
    }
    ours.process.end()?;
    peer.process.end()?;
    for (machines, [ours, peer]) in &figures {
        findings.cases.extend(cases(*machines, ours, peer));
        for (who, outcomes) in [("ours", ours), ("nginx", peer)] {
            let shares = outcomes.iter().map(|outcome| outcome.client);
            findings.client(&format!("storm of {machines}, {who}"), shares);
            let failures = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
            findings
                .notes
                .extend(failures.map(|failure| format!("storm of {machines}, {who}: {failure}")));
        }
    }
    Ok(findings)
}

fn cases(machines: usize, ours: &[Outcome], peer: &[Outcome]) -> Vec<Case> {
    let case = |what: &str, unit, goal, figure: fn(&Outcome) -> f64| {
        let figures = |outcomes: &[Outcome]| outcomes.iter().map(figure).collect();
        let name = format!("storm of {machines}: {what}");
        Case::new(name, unit, figures(ours), goal).beside("nginx", figures(peer))
    };
    // Only where scripts wait behind bulk data for long is there much to win.
    let script = if machines >= 1_000 { 0.25 } else { 1.0 };
    vec![
        case("machines with errors", "", Goal::AtMost(0.0), |outcome| {
            outcome.errors as f64
        }),
        case("time", "ms", Goal::RatioAtMost(1.05), |outcome| outcome.wall),
        case(
            "script, 99th percentile",
            "ms",
            Goal::RatioAtMost(script),
            |outcome| outcome.script,
        ),
        case(
            "CPU of the server",
            "s per GB",
            Goal::RatioAtMost(1.15),
            |outcome| outcome.cpu,
        ),
    ]
}
