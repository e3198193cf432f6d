//! The registry of benchmarks, and how results look.

mod cable;
mod chain;
mod dhcp;
mod footprint;
mod image;
mod import;

use anyhow::bail;
use serde::Serialize;

/// Runs of each case.
pub(crate) const RUNS: usize = 5;

/// A benchmark.
struct Bench {
    name: &'static str,
    about: &'static str,
}

const ALL: &[Bench] = &[
    Bench {
        name: "dhcp",
        about: "B1 and B2: exchanges of 10,000 machines through a relay, one by one, 32 at once and in a burst, beside Kea",
    },
    Bench {
        name: "footprint",
        about: "B11: size of the programs, memory and CPU when idle, start until the first DHCP, TFTP, HTTP and API answer",
    },
    Bench {
        name: "image",
        about: "B9: a node-like image into a file and a loop device, digests and reading back included, beside zstd and dd",
    },
    Bench {
        name: "import",
        about: "B12: import of 1k, 10k and 100k rows beside sqlite3, the same again, DHCP of the last row (minutes)",
    },
    Bench {
        name: "chain",
        about: "B16: two machines to a Ready cluster, beside kubeadm by hand on the same image (half an hour)",
    },
];

/// Several runs of one case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) case: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) runs: Vec<f64>,
    /// What does the same, in the same run.
    pub(crate) peer: Option<Peer>,
    /// At most so much.
    pub(crate) goal: f64,
}

/// Several runs of somebody else's program.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<f64>,
}

/// What a benchmark found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) cases: Vec<Case>,
    /// What the figures are to be read with.
    pub(crate) notes: Vec<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    case: &'a str,
    unit: &'a str,
    ours: f64,
    peer: Option<f64>,
    peer_name: Option<&'a str>,
    ratio: Option<f64>,
    goal: f64,
    met: bool,
}

/// Runs benchmarks by name.
pub(crate) async fn run(names: &[String], list: bool, json: bool) -> anyhow::Result<()> {
    if list || names.is_empty() {
        for bench in ALL {
            println!("{:12} {}", bench.name, bench.about);
        }
        return Ok(());
    }
    for name in names {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        eprintln!("load before {name}: {}", load.trim());
        let mut findings = match name.as_str() {
            "dhcp" => tokio::task::spawn_blocking(dhcp::run).await??,
            "footprint" => tokio::task::spawn_blocking(footprint::run).await??,
            "import" => tokio::task::spawn_blocking(import::run).await??,
            "chain" => chain::run().await?,
            "image" => tokio::task::spawn_blocking(image::run).await??,
            other => bail!("there is no benchmark {other:?}; --list names them"),
        };
        if is_busy(&load) {
            findings
                .notes
                .push("the machine was busy before the start: times are not those of an idle one".to_owned());
        }
        for note in &findings.notes {
            eprintln!("{name}: {note}");
        }
        for case in &findings.cases {
            println!("{}", if json { line(name, case)? } else { row(name, case) });
        }
    }
    Ok(())
}

/// More than this many processes on average wanted to run before the start.
fn is_busy(load: &str) -> bool {
    let last_minute = load.split_whitespace().next().and_then(|load| load.parse().ok());
    last_minute.is_some_and(|load: f64| load > 1.5)
}

/// Minimum, median and maximum.
fn spread(runs: &[f64]) -> (f64, f64, f64) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

impl Case {
    fn ours(&self) -> f64 {
        spread(&self.runs).1
    }

    fn met(&self) -> bool {
        self.ours() <= self.goal
    }

    /// Our median for the peer's.
    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|peer| self.ours() / spread(&peer.runs).1)
    }
}

fn row(bench: &str, case: &Case) -> String {
    let (min, median, max) = spread(&case.runs);
    let met = if case.met() { "met" } else { "MISSED" };
    let peer = match (&case.peer, case.ratio()) {
        (Some(peer), Some(ratio)) => {
            format!("{} {:.1}, ratio {ratio:.3}", peer.name, spread(&peer.runs).1)
        }
        _ => "no peer".to_owned(),
    };
    format!(
        "{bench:9} {:34} {median:>8.1} {:2} (min {min:.1}, max {max:.1}, runs {})  goal <= {:.1} {met:6}  {peer}",
        case.case,
        case.unit,
        case.runs.len(),
        case.goal
    )
}

fn line(bench: &str, case: &Case) -> anyhow::Result<String> {
    let line = Line {
        bench,
        case: case.case,
        unit: case.unit,
        ours: case.ours(),
        peer: case.peer.as_ref().map(|peer| spread(&peer.runs).1),
        peer_name: case.peer.as_ref().map(|peer| peer.name),
        ratio: case.ratio(),
        goal: case.goal,
        met: case.met(),
    };
    Ok(serde_json::to_string(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_judged() {
        let mut case = Case {
            case: "x",
            unit: "ms",
            runs: vec![9.0, 1.0, 3.0],
            peer: None,
            goal: 3.0,
        };
        assert_eq!(spread(&case.runs), (1.0, 3.0, 9.0));
        assert!(row("b", &case).contains(" met "));
        let value: serde_json::Value = serde_json::from_str(&line("b", &case).unwrap()).unwrap();
        assert_eq!(
            (
                value["ours"].as_f64(),
                value["met"].as_bool(),
                value["ratio"].as_f64()
            ),
            (Some(3.0), Some(true), None)
        );
        case.goal = 2.9;
        case.peer = Some(Peer {
            name: "other",
            runs: vec![6.0],
        });
        assert!(row("b", &case).contains(" MISSED "));
        let value: serde_json::Value = serde_json::from_str(&line("b", &case).unwrap()).unwrap();
        assert_eq!(
            (value["ratio"].as_f64(), value["peer_name"].as_str()),
            (Some(0.5), Some("other"))
        );
    }

    #[test]
    fn a_busy_machine_is_told() {
        assert!(is_busy("2.50 0.1 0.1 1/2 3") && !is_busy("0.30 9 9 1/2 3"));
    }
}
