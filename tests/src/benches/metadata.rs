//! Metadata: machines ask for their host name, an EC2-style path that is answered by their address, over 64 connections
//! that stay open and over one for each request, with 1,000 and 10,000 machines known. Beside it nginx with one static
//! file for all. Goals: perf.md B6.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::cable::{Cable, SERVER};
use super::http_client::{connect, get};
use super::meter::{Meter, Reading, late};
use super::process::Process;
use super::site::{HTTP, Parts, Site};
use super::{Case, Findings, Goal, RUNS, leftovers, machines, nginx};

/// Numbers of machines that are known.
const SIZES: [usize; 2] = [1_000, 10_000];
/// Connections at once, each of another machine.
const CONNECTIONS: usize = 64;
/// The document that is asked for.
const FOLDER: &str = "2009-04-04/meta-data";
const DOCUMENT: &str = "hostname";
/// What nginx has in it.
const STATIC: &str = "node-1000";

/// How connections are used.
#[derive(Debug, Clone, Copy)]
struct Mode {
    name: &'static str,
    /// Requests of each machine.
    requests: usize,
    /// A connection for each.
    close: bool,
    /// Goal for the rate.
    rate: f64,
}

const MODES: [Mode; 2] = [
    Mode {
        name: "keep-alive",
        requests: 1_500,
        close: false,
        rate: 0.7,
    },
    Mode {
        name: "Connection: close",
        requests: 300,
        close: true,
        rate: 0.9,
    },
];

#[derive(Debug, Clone, Copy)]
struct Outcome {
    /// Requests for each second.
    rate: f64,
    late: f64,
    /// Microseconds of the server's processor time for a request.
    cpu: f64,
    client: f64,
}

/// Runs of ours and of nginx.
type Both = [Vec<Outcome>; 2];

pub(super) fn run() -> anyhow::Result<Findings> {
    let cable = Cable::lay()?;
    machines::connect(&cable)?;
    let (parts, folder) = (Parts::with(&[])?, leftovers::folder()?);
    let document = folder.path().join("root").join(FOLDER);
    std::fs::create_dir_all(&document)?;
    std::fs::write(document.join(DOCUMENT), STATIC)?;
    let peer = nginx::start(&cable, folder.path())?;
    let mut findings = Findings::default();
    for size in SIZES {
        let site = Site::new()?;
        let server = site.start(&cable, &parts, &[])?;
        site.import(&cable, &machines::csv(size))?;
        server.settle();
        let mut runs = MODES.map(|mode| (mode, Both::default()));
        for _ in 0..RUNS {
            for (mode, [ours, theirs]) in &mut runs {
                let address = SocketAddr::from((SERVER, HTTP));
                let own = |connection| machines::name(number(connection, size));
                ours.push(measure(&cable, &server, address, size, *mode, own)?);
                let shared = |_| STATIC.to_owned();
                theirs.push(measure(&cable, &peer, nginx::ADDRESS, size, *mode, shared)?);
            }
        }
        server.end()?;
        for (mode, both) in &runs {
            findings.add(size, *mode, both);
        }
    }
    peer.end()?;
    Ok(findings)
}

/// The machine that uses a connection: all over the range.
fn number(connection: usize, size: usize) -> usize {
    1 + connection * (size - 1) / (CONNECTIONS - 1)
}

fn measure(
    cable: &Cable,
    server: &Process,
    address: SocketAddr,
    size: usize,
    mode: Mode,
    expected: impl Fn(usize) -> String,
) -> anyhow::Result<Outcome> {
    let clients: Vec<(Ipv4Addr, String)> = (0..CONNECTIONS)
        .map(|connection| (machines::address(number(connection, size)), expected(connection)))
        .collect();
    let request = Arc::new(get(&format!("/{FOLDER}/{DOCUMENT}"), mode.close));
    let meter = Meter::start(server)?;
    let work = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async {
            let mut machines = JoinSet::new();
            for (from, expected) in clients {
                machines.spawn(ask(from, address, mode, request.clone(), expected));
            }
            machines.join_all().await
        }))
    };
    let asked = lab::in_namespace(&cable.client, work)?;
    let reading = meter.read()?;
    let mut times = Vec::new();
    for machine in asked {
        times.extend(machine?);
    }
    Ok(Outcome::new(&reading, times))
}

impl Outcome {
    fn new(reading: &Reading, times: Vec<Duration>) -> Outcome {
        let requests = times.len() as f64;
        Outcome {
            rate: requests / reading.wall.as_secs_f64(),
            cpu: reading.server.as_secs_f64() * 1e6 / requests,
            client: reading.client,
            late: late(times),
        }
    }
}

/// One machine's requests, one after the other.
async fn ask(
    from: Ipv4Addr,
    address: SocketAddr,
    mode: Mode,
    request: Arc<Vec<u8>>,
    expected: String,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(mode.requests);
    let mut open = None;
    for _ in 0..mode.requests {
        let began = Instant::now();
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => connect(from, address).await?,
        };
        let mut matches = false;
        let body = |piece: &[u8]| matches = piece == expected.as_bytes();
        let status = connection.ask(&request, body).await?;
        ensure!(
            status == 200 && matches,
            "{from} got status {status}, or not {expected}"
        );
        times.push(began.elapsed());
        if !mode.close {
            open = Some(connection);
        }
    }
    Ok(times)
}

impl Findings {
    fn add(&mut self, size: usize, mode: Mode, both: &Both) {
        let [ours, theirs] = both;
        let what = format!("{}k machines, {}", size / 1000, mode.name);
        let case = |name: &str, unit, goal, figure: fn(&Outcome) -> f64| {
            let figures = |outcomes: &[Outcome]| outcomes.iter().map(figure).collect();
            Case::new(format!("{what}: {name}"), unit, figures(ours), goal).beside("nginx", figures(theirs))
        };
        self.cases.extend([
            case("rate", "/s", Goal::RatioAtLeast(mode.rate), |run| run.rate),
            case("99th percentile", "ms", Goal::RatioAtMost(1.5), |run| run.late),
        ]);
        for (who, outcomes) in [("ours", ours), ("nginx", theirs)] {
            self.client(
                &format!("{what}, {who}"),
                outcomes.iter().map(|outcome| outcome.client),
            );
            let cpu: Vec<String> = outcomes
                .iter()
                .map(|outcome| format!("{:.1}", outcome.cpu))
                .collect();
            self.notes.push(format!(
                "{what}, {who}: us of CPU for a request: {}",
                cpu.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_is_another_machine() {
        for size in SIZES {
            let mut numbers: Vec<usize> = (0..CONNECTIONS)
                .map(|connection| number(connection, size))
                .collect();
            assert_eq!((numbers.first(), numbers.last()), (Some(&1), Some(&size)));
            numbers.dedup();
            assert_eq!(numbers.len(), CONNECTIONS);
        }
    }
}
