//! One run of many single-node clusters, for the benchmark: each in a process of its own, so that its memory is only its own.
//! Prints one JSON object; fails when a cluster is not as it should be.

#![allow(clippy::print_stdout, reason = "a program for the benchmark")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what goes wrong here fails the benchmark"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Parser;
use clusters_sim::Fleet;
use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use sim::{HoldingAllocator, Request, count_held_bytes};

/// As in `gantry serve`, so that memory is comparable.
#[global_allocator]
static ALLOCATOR: HoldingAllocator<tikv_jemallocator::Jemalloc> =
    HoldingAllocator(tikv_jemallocator::Jemalloc);

#[derive(Debug, Parser)]
#[command(about = "Makes single-node clusters through the coordinator and says what it took")]
struct Cli {
    /// How many.
    #[arg(long)]
    count: usize,
    /// Seconds for which they are watched at rest.
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// Also tell what holds the memory. Counting it takes a little time.
    #[arg(long)]
    held: bool,
    /// Also print the requests of each kind to standard error.
    #[arg(long)]
    kinds: bool,
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    if cli.held {
        count_held_bytes();
    }
    let fleet = Fleet::new(cli.count).await;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    fleet.make().await;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    fleet.settle().await;
    let made = fleet.requests();
    let (cpu_before, peak) = (cpu_seconds(), memory("VmHWM:"));
    // Longer than the coordinator leaves any cluster alone, and each is looked at once for a change that changes nothing.
    tokio::time::sleep(Duration::from_secs(cli.rest)).await;
    fleet.look().await;
    let cpu_at_rest = cpu_seconds() - cpu_before;
    let at_rest: BTreeMap<Request, u64> = fleet
        .requests()
        .into_iter()
        .map(|(request, count)| (request.clone(), count - made.get(&request).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    fleet.check().await;
    if cli.kinds {
        print_kinds("made", &made, cli.count);
        print_kinds("at rest", &at_rest, cli.count);
    }
    let at_rest_megabytes = memory("VmRSS:");
    let held = if cli.held { Some(fleet.end().await) } else { None };
    let line = json!({
        "count": cli.count, "wallSeconds": wall, "cpuSeconds": cpu, "peakMegabytes": peak,
        "megabytesAtRest": at_rest_megabytes, "held": held, "requests": by_verb(&made), "restSeconds": cli.rest,
        "requestsAtRest": by_verb(&at_rest), "cpuSecondsAtRest": cpu_at_rest,
    });
    println!("{line}");
}

fn cpu_seconds() -> f64 {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap()).as_secs_f64()
}

/// Memory of this process, MB.
fn memory(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024.0 / 1e6
}

fn by_verb(requests: &BTreeMap<Request, u64>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (request, count) in requests {
        *sums.entry(request.verb).or_default() += count;
    }
    sums
}

fn print_kinds(when: &str, requests: &BTreeMap<Request, u64>, clusters: usize) {
    for (request, count) in requests {
        let each = *count as f64 / clusters as f64;
        eprintln!(
            "{when}: {:7} {:36} {count:8} {each:8.2} for each cluster",
            request.verb, request.resource
        );
    }
}
