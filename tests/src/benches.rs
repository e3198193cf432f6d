//! The registry of benchmarks, and how results look.

mod footprint;

use anyhow::bail;
use serde::Serialize;

/// Runs of each case.
pub(crate) const RUNS: usize = 5;

/// A benchmark.
struct Bench {
    name: &'static str,
    about: &'static str,
}

const ALL: &[Bench] = &[Bench {
    name: "footprint",
    about: "B11: size of the program, memory when idle, start until the API answers (no boot services)",
}];

/// Several runs of one case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) case: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) runs: Vec<f64>,
    /// At most so much.
    pub(crate) goal: f64,
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
        eprintln!(
            "load before {name}: {}",
            std::fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .trim()
        );
        let cases = match name.as_str() {
            "footprint" => footprint::run().await?,
            other => bail!("there is no benchmark {other:?}; --list names them"),
        };
        for case in cases {
            println!(
                "{}",
                if json {
                    line(name, &case)?
                } else {
                    row(name, &case)
                }
            );
        }
    }
    Ok(())
}

/// Minimum, median and maximum.
fn spread(runs: &[f64]) -> (f64, f64, f64) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

fn row(bench: &str, case: &Case) -> String {
    let (min, median, max) = spread(&case.runs);
    let met = if median <= case.goal { "met" } else { "MISSED" };
    format!(
        "{bench:12} {:24} {median:>9.1} {} (min {min:.1}, max {max:.1}, {} runs)  goal <= {} {met}",
        case.case,
        case.unit,
        case.runs.len(),
        case.goal
    )
}

fn line(bench: &str, case: &Case) -> anyhow::Result<String> {
    let (_, ours, _) = spread(&case.runs);
    let line = Line {
        bench,
        case: case.case,
        unit: case.unit,
        ours,
        peer: None,
        peer_name: None,
        ratio: None,
        goal: case.goal,
        met: ours <= case.goal,
    };
    Ok(serde_json::to_string(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_judged() {
        let case = Case {
            case: "x",
            unit: "ms",
            runs: vec![9.0, 1.0, 3.0],
            goal: 3.0,
        };
        assert_eq!(spread(&case.runs), (1.0, 3.0, 9.0));
        assert!(row("b", &case).ends_with("met"));
        let value: serde_json::Value = serde_json::from_str(&line("b", &case).unwrap()).unwrap();
        assert_eq!(
            (value["ours"].as_f64(), value["met"].as_bool()),
            (Some(3.0), Some(true))
        );
    }
}
