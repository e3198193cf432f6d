//! TFTP: one machine that fetches 50 MiB with windows of 1, 16 and 64 blocks, beside atftpd; 64 and 256 machines that
//! fetch a boot loader of 1 MiB at once block by block, beside dnsmasq, which knows no windows. Goals: perf.md B4.

mod transfer;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::cable::{Cable, PEER, SERVER};
use super::meter::{Meter, late};
use super::process::{Process, installed};
use super::site::{Parts, Site};
use super::{Case, Findings, Goal, RUNS, dnsmasq, leftovers, machines};
use transfer::fetch;

const LARGE: (&str, usize) = ("large.efi", 50 << 20);
const SMALL: (&str, usize) = ("small.efi", 1 << 20);
/// Windows, with how many times atftpd's rate ours is to be.
const WINDOWS: [(u16, f64); 3] = [(1, 1.0), (16, 1.0), (64, 1.2)];
/// Machines at once.
const STORMS: [usize; 2] = [64, 256];

/// One load.
#[derive(Debug, Clone, Copy)]
struct Load {
    machines: usize,
    file: (&'static str, usize),
    window: u16,
}

#[derive(Debug, Clone, Copy)]
struct Outcome {
    /// MB/s of all together.
    rate: f64,
    /// Time of the slowest transfer but one in a hundred, milliseconds.
    late: f64,
    /// Milliseconds of the server's processor time for one MB.
    cpu: f64,
    client: f64,
}

/// Runs of a load: ours and the peer's.
type Both = [Vec<Outcome>; 2];

pub(super) fn run() -> anyhow::Result<Findings> {
    let cable = Cable::lay()?;
    machines::connect(&cable)?;
    let (parts, site, log) = (Parts::with(&[LARGE, SMALL])?, Site::new()?, leftovers::folder()?);
    let server = site.start(&cable, &parts, &[])?;
    let most = STORMS.into_iter().max().unwrap_or_default();
    site.import(&cable, &machines::csv(most))?;
    let peer = |command| Process::start(&cable.server, command, &log.path().join("log"));
    let mut findings = Findings::default();

    let atftpd = peer(atftpd(&parts)?)?;
    let load = |window| Load::new(1, LARGE, window);
    let runs = compare(
        &cable,
        &parts,
        [&server, &atftpd],
        &WINDOWS.map(|(window, _)| load(window)),
    )?;
    atftpd.end()?;
    for ((_, rate), (load, both)) in WINDOWS.into_iter().zip(&runs) {
        let what = format!("50 MiB, windowsize {}", load.window);
        let rate = Goal::RatioAtLeast(rate);
        findings
            .cases
            .push(case(&what, "MB/s", rate, ("atftpd", both), |run| run.rate));
        note(&mut findings, &what, "atftpd", both);
    }

    let dnsmasq = peer(dnsmasq_of(&parts)?)?;
    let load = |machines| Load::new(machines, SMALL, 1);
    let runs = compare(&cable, &parts, [&server, &dnsmasq], &STORMS.map(load))?;
    dnsmasq.end()?;
    server.end()?;
    for (load, both) in &runs {
        let what = format!("{} x 1 MiB", load.machines);
        let (beside, least, most) = (
            ("dnsmasq", both),
            Goal::RatioAtLeast(1.25),
            Goal::RatioAtMost(0.8),
        );
        let figure = |name: &str| format!("{what}, {name}");
        findings.cases.extend([
            case(&figure("together"), "MB/s", least, beside, |run| run.rate),
            case(&figure("99th percentile"), "ms", most, beside, |run| run.late),
            case(&figure("CPU of the server"), "ms per MB", most, beside, |run| {
                run.cpu
            }),
        ]);
        note(&mut findings, &what, "dnsmasq", both);
    }
    Ok(findings)
}

impl Load {
    const fn new(machines: usize, file: (&'static str, usize), window: u16) -> Load {
        Load {
            machines,
            file,
            window,
        }
    }
}

fn atftpd(parts: &Parts) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("/usr/sbin/atftpd", "atftpd")?);
    command.args(["--daemon", "--no-fork", "--user", "root", "--group", "root"]);
    command
        .args(["--bind-address", &PEER.to_string()])
        .arg(parts.boot());
    Ok(command)
}

fn dnsmasq_of(parts: &Parts) -> anyhow::Result<Command> {
    let mut command = dnsmasq::command(&parts.boot())?;
    command.args(["--tftp-max=1000", "--quiet-tftp"]);
    command.arg(format!("--listen-address={PEER}"));
    Ok(command)
}

/// All loads in turn, of ours and of the peer.
fn compare(
    cable: &Cable,
    parts: &Parts,
    [server, peer]: [&Process; 2],
    loads: &[Load],
) -> anyhow::Result<Vec<(Load, Both)>> {
    let mut runs: Vec<(Load, Both)> = loads.iter().map(|load| (*load, Both::default())).collect();
    // The peer may not be ready yet; nothing of this counts.
    measure(cable, PEER, peer, parts, Load::new(1, SMALL, 1))?;
    for _ in 0..RUNS {
        for (load, [ours, theirs]) in &mut runs {
            ours.push(measure(cable, SERVER, server, parts, *load)?);
            theirs.push(measure(cable, PEER, peer, parts, *load)?);
        }
    }
    Ok(runs)
}

fn measure(
    cable: &Cable,
    address: Ipv4Addr,
    server: &Process,
    parts: &Parts,
    load: Load,
) -> anyhow::Result<Outcome> {
    let (name, size) = load.file;
    let content = Arc::new(std::fs::read(parts.boot().join(name))?);
    let meter = Meter::start(server)?;
    let work = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async {
            let mut transfers = JoinSet::new();
            for number in 1..=load.machines {
                let (from, window) = (machines::address(number), load.window);
                let content = content.clone();
                transfers.spawn(async move {
                    let began = Instant::now();
                    fetch(from, (address, 69).into(), name, window, &content).await?;
                    anyhow::Ok(began.elapsed())
                });
            }
            transfers.join_all().await
        }))
    };
    let times = lab::in_namespace(&cable.client, work)?;
    let reading = meter.read()?;
    let times = times.into_iter().collect::<anyhow::Result<Vec<Duration>>>()?;
    let megabytes = (size * load.machines) as f64 / 1e6;
    Ok(Outcome {
        rate: megabytes / reading.wall.as_secs_f64(),
        late: late(times),
        cpu: reading.server.as_secs_f64() * 1e3 / megabytes,
        client: reading.client,
    })
}

fn case(
    name: &str,
    unit: &'static str,
    goal: Goal,
    (peer, [ours, theirs]): (&'static str, &Both),
    figure: fn(&Outcome) -> f64,
) -> Case {
    let figures = |outcomes: &[Outcome]| outcomes.iter().map(figure).collect();
    Case::new(name, unit, figures(ours), goal).beside(peer, figures(theirs))
}

fn note(findings: &mut Findings, what: &str, peer: &str, both: &Both) {
    for (who, outcomes) in ["ours", peer].into_iter().zip(both) {
        let shares = outcomes.iter().map(|outcome| outcome.client);
        findings.client(&format!("{what}, {who}"), shares);
    }
}
